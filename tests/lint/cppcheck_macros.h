/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cppcheck_macros.h - what cppcheck has to know of jansson's loops.
 *
 * It is given our headers only: with the system's it takes minutes and sees
 * nothing more of ours. No compiler includes this file.
 */
#define json_array_foreach(array, i, value) \
	for (i = 0; (value = json_array_get(array, i)); i++)
#define json_object_foreach(object, name, value)      \
	for (name = json_object_iter_name(object);    \
	     (value = json_object_get(object, name)); \
	     name = json_object_iter_next_name(object, name))
