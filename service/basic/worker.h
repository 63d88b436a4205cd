/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one thread besides the loop: for work that may block (files that are synced, a journal that is slow). Jobs run in order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

typedef struct Worker Worker;

int worker_new(Worker **ret);
/* Waits until what was queued is done. */
Worker *worker_free(Worker *worker);

/* RUN is called in the thread, and owns DATA from here on. */
void worker_push(Worker *worker, void (*run)(void *data), void *data);
/* Jobs that have not ended yet: the caller drops instead of queueing when it is too many. Any thread. */
size_t worker_queued(const Worker *worker);
