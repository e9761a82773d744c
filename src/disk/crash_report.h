/* SPDX-License-Identifier: Apache-2.0 */
/* crash_report.h - which filter it was that ended the process. */
#ifndef FOREBAY_DISK_CRASH_REPORT_H
#define FOREBAY_DISK_CRASH_REPORT_H

/*
 * From now on a crash is told by the log and on the status pipe, with the disk,
 * the filter and the callback. @status_fd: negative for none.
 * Returns: 0 or -errno.
 */
int crash_report_start(const char *disk_name, int status_fd);

#endif
