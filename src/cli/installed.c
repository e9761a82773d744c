/* SPDX-License-Identifier: Apache-2.0 */
/* installed.c - the prefix is the folder above ours. */
#include "installed.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void installed_path(const char *path, char *buffer, size_t buffer_bytes)
{
	char own[PATH_MAX] = "";
	char *slash;

	if (readlink("/proc/self/exe", own, sizeof(own) - 1) > 0) {
		for (unsigned int i = 0; i < 2; i++) {
			slash = strrchr(own, '/');
			if (slash)
				*slash = '\0';
		}
		(void)snprintf(buffer, buffer_bytes, "%s/%s", own, path);
		if (access(buffer, R_OK) == 0)
			return;
	}
	(void)snprintf(buffer, buffer_bytes, FOREBAY_INSTALLED "/%s", path);
}
