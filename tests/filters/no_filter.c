// SPDX-License-Identifier: Apache-2.0
/* no_filter.c - a shared object that is something else. */
int something_else(void);

__attribute__((visibility("default"))) int something_else(void)
{
	return 42;
}
