/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unlinked_filter.c - a library that uses a function of nobody's.
 */
void nobody_has_this(void);
void call_it(void);

__attribute__((visibility("default"))) void call_it(void)
{
	nobody_has_this();
}
