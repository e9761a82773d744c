/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt_xml.h - a disk as libvirt wants to be told of it. */
#ifndef FOREBAY_AGENT_LIBVIRT_XML_H
#define FOREBAY_AGENT_LIBVIRT_XML_H

#include <jansson.h>

#include "problem.h"

/*
 * @disk: as the API shows it. @export: "vhost-user-blk" or "nbd", NULL: the
 * first that it has. @target: "vda" ..., NULL: "vda".
 * Returns: 0 and a text that the caller frees, or a problem.
 */
int libvirt_xml_render(const json_t *disk, const char *export,
		       const char *target, char **ret_text,
		       struct problem *problem);

#endif
