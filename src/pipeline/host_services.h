/* SPDX-License-Identifier: Apache-2.0 */
/* host_services.h - the table of functions that every filter gets. */
#ifndef FOREBAY_PIPELINE_HOST_SERVICES_H
#define FOREBAY_PIPELINE_HOST_SERVICES_H

#include "forebay/filter.h"

extern const struct forebay_host host_services;

#endif
