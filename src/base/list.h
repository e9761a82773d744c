/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - an intrusive, circular, doubly linked list.
 *
 * The same type is the list's head and the node in each object. A node that is
 * in no list points to itself, so list_remove() may be called twice and
 * list_is_empty(&object->node) asks "is it in no list?".
 *
 *	struct list waiting;                       list_init(&waiting);
 *	struct job { struct list node; ... };      list_append(&waiting,
 *							       &job->node);
 *	list_for_each(node, &waiting)
 *		use(list_entry(node, struct job, node));
 */
#ifndef FOREBAY_BASE_LIST_H
#define FOREBAY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *previous;
};

/* The object of @type whose @member is at @pointer. */
#define container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define list_entry(node, type, member) container_of(node, type, member)

/* The body must not remove @node; list_for_each_safe() allows that. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a declared name takes none. */
#define list_for_each(node, head)                              \
	for (struct list *node = (head)->next; node != (head); \
	     node = node->next)
#define list_for_each_safe(node, head)                                    \
	for (struct list *node = (head)->next, *node##_next = node->next; \
	     node != (head); node = node##_next, node##_next = node->next)
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void list_init(struct list *list)
{
	list->next = list;
	list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_insert_before(struct list *position, struct list *node)
{
	node->next = position;
	node->previous = position->previous;
	position->previous->next = node;
	position->previous = node;
}

static inline void list_append(struct list *list, struct list *node)
{
	list_insert_before(list, node);
}

static inline void list_prepend(struct list *list, struct list *node)
{
	list_insert_before(list->next, node);
}

static inline void list_remove(struct list *node)
{
	node->previous->next = node->next;
	node->next->previous = node->previous;
	list_init(node);
}

/* Returns: the first node, or NULL. */
static inline struct list *list_first(const struct list *list)
{
	return list_is_empty(list) ? NULL : list->next;
}

/* Returns: the last node, or NULL. */
static inline struct list *list_last(const struct list *list)
{
	return list_is_empty(list) ? NULL : list->previous;
}

/* Takes the first node out. Returns: it, or NULL. */
static inline struct list *list_take_first(struct list *list)
{
	struct list *node = list_first(list);

	if (node)
		list_remove(node);
	return node;
}

/* Moves all of @from to the end of @to, in order. */
static inline void list_append_all(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->previous = to->previous;
	to->previous->next = from->next;
	from->previous->next = to;
	to->previous = from->previous;
	list_init(from);
}

#endif
