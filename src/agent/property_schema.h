/* SPDX-License-Identifier: Apache-2.0 */
/*
 * property_schema.h - a filter's properties as a JSON Schema, draft 2020-12.
 *
 * The same that properties.h enforces, for editors and for other programs: what
 * the schema takes is taken, except that a text with a unit ("4KiB") is
 * compared with the bounds only by forebayd.
 */
#ifndef FOREBAY_AGENT_PROPERTY_SCHEMA_H
#define FOREBAY_AGENT_PROPERTY_SCHEMA_H

#include <jansson.h>

/* @filter: as described. Returns: a new document, or NULL without memory. */
json_t *property_schema(const json_t *filter);

#endif
