// SPDX-License-Identifier: Apache-2.0
/* print_mode_reasons.c - the codes and their words, for test_mode_reasons.py.
 */
#include <stdio.h>

#include "mode_reason.h"

int main(void)
{
	for (unsigned int i = 0; i < MODE_REASONS; i++)
		(void)printf("%s\t%s\n", mode_reason_code((enum mode_reason)i),
			     mode_reason_words((enum mode_reason)i));
	return 0;
}
