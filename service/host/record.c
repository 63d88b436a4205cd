/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop decides what is to be written and makes the text; the worker writes it. Between the two lies one slot for the latest text, so
 * that a slow disk never piles up texts, and only one job is queued at a time. Changes that come soon after a write wait a little: loading
 * 10,000 sessions one by one must not write 10,000 growing files. */
#include "host/record.h"

#include "basic/deadline.h"
#include "basic/json.h"
#include "basic/list.h"
#include "basic/log.h"
#include "host/manifest.h"
#include "host/record-file.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <time.h>

#define PAUSE_USEC (250 * USEC_PER_MSEC)

typedef struct Entry {
        RecordEntry public;
        ListNode node;
} Entry;

/* Shared with the worker; all but `folder` under the mutex. */
typedef struct Slot {
        pthread_mutex_t mutex;
        pthread_cond_t written;
        char *folder;
        GString *text; /* to be written next, or NULL */
        bool queued;   /* a job is on its way that will take the text */
        bool writing;
        bool failed; /* the last write */
} Slot;

struct Record {
        sd_event_source *timer;
        Worker *worker;
        Slot slot;
        GHashTable *by_id; /* -> Entry */
        List entries;      /* in the order in which they were added */
        bool dirty;
        uint64_t next_write; /* CLOCK_MONOTONIC */
};

static void entry_free(gpointer data) {
        Entry *entry = data;

        list_unlink(&entry->node);
        record_entry_clear(&entry->public);
        g_free(entry);
}

static void write_slot(Slot *slot) {
        g_autoptr(GString) text = g_steal_pointer(&slot->text);
        int r;

        slot->queued = false;
        if (!text)
                return;
        slot->writing = true;
        pthread_mutex_unlock(&slot->mutex);
        r = record_file_write(slot->folder, text->str, text->len);
        pthread_mutex_lock(&slot->mutex);
        if (r < 0 && !slot->failed)
                log_error("%s/" RECORD_FILE ": cannot be written, what is loaded will not be remembered: %s", slot->folder, g_strerror(-r));
        slot->failed = r < 0;
        slot->writing = false;
        pthread_cond_broadcast(&slot->written);
}

static void write_job(void *data) {
        Slot *slot = data;

        pthread_mutex_lock(&slot->mutex);
        write_slot(slot);
        pthread_mutex_unlock(&slot->mutex);
}

static void write_now(Record *record) {
        Slot *slot = &record->slot;
        GString *text = g_string_new(RECORD_HEAD);
        bool push;

        list_foreach(node, &record->entries)
                record_entry_append(text, &list_entry(node, Entry, node)->public);
        g_string_append(text, RECORD_TAIL);
        record->dirty = false;

        pthread_mutex_lock(&slot->mutex);
        if (slot->text)
                g_string_free(slot->text, TRUE);
        slot->text = text;
        push = record->worker && !slot->queued;
        slot->queued = true;
        if (!record->worker)
                write_slot(slot);
        pthread_mutex_unlock(&slot->mutex);
        if (push)
                worker_push(record->worker, write_job, slot);
}

static uint64_t now_usec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Record *record = userdata;

        record->next_write = now_usec() + PAUSE_USEC;
        write_now(record);
        return 0;
}

static void changed(Record *record) {
        if (!record->worker) {
                write_now(record);
                return;
        }
        if (record->dirty)
                return;
        record->dirty = true;
        if (sd_event_source_set_time(record->timer, record->next_write) < 0 ||
            sd_event_source_set_enabled(record->timer, SD_EVENT_ONESHOT) < 0)
                write_now(record);
}

static void add(RecordEntry *entry, void *userdata) {
        Record *record = userdata;
        Entry *added = g_new0(Entry, 1);

        added->public = *entry;
        list_append(&record->entries, &added->node);
        g_hash_table_replace(record->by_id, added->public.id, added);
}

int record_new(sd_event *event, const char *state_dir, Worker *worker, Record **ret) {
        Record *record;
        int r;

        if (g_mkdir_with_parents(state_dir, 0700) < 0)
                return -errno;
        record = g_new0(Record, 1);
        list_init(&record->entries);
        record->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
        record->worker = worker;
        record->slot.folder = g_strdup(state_dir);
        pthread_mutex_init(&record->slot.mutex, NULL);
        pthread_cond_init(&record->slot.written, NULL);
        r = record_file_read(state_dir, add, record);
        if (r >= 0 && worker) {
                r = sd_event_add_time(event, &record->timer, CLOCK_MONOTONIC, 0, 1, on_timer, record);
                if (r >= 0)
                        r = sd_event_source_set_enabled(record->timer, SD_EVENT_OFF);
        }
        if (r < 0) {
                record_free(record);
                return r;
        }
        *ret = record;
        return 0;
}

static void wait_until_written(Slot *slot) {
        pthread_mutex_lock(&slot->mutex);
        while (slot->queued || slot->writing)
                pthread_cond_wait(&slot->written, &slot->mutex);
        pthread_mutex_unlock(&slot->mutex);
}

Record *record_free(Record *record) {
        if (!record)
                return NULL;
        wait_until_written(&record->slot);
        if (record->dirty || record->slot.failed) {
                write_now(record);
                wait_until_written(&record->slot);
        }
        sd_event_source_disable_unref(record->timer);
        g_hash_table_unref(record->by_id);
        pthread_cond_destroy(&record->slot.written);
        pthread_mutex_destroy(&record->slot.mutex);
        g_free(record->slot.folder);
        g_free(record);
        return NULL;
}

const RecordEntry *record_get(const Record *record, const char *id) {
        Entry *entry = g_hash_table_lookup(record->by_id, id);

        return entry ? &entry->public : NULL;
}

void record_foreach(const Record *record, void (*callback)(const RecordEntry *entry, void *userdata), void *userdata) {
        list_foreach(node, &record->entries)
                callback(&list_entry(node, Entry, node)->public, userdata);
}

void record_set(Record *record, const RecordEntry *entry) {
        Entry *known = g_hash_table_lookup(record->by_id, entry->id);
        RecordEntry copy, old;

        g_assert(plugin_id_valid(entry->id) && entry->source);
        if (known && record_entry_equal(&known->public, entry))
                return;
        record_entry_copy(&copy, entry);
        if (known) {
                /* ENTRY may share texts with what is replaced. */
                g_hash_table_steal(record->by_id, known->public.id);
                old = known->public;
                known->public = copy;
                g_hash_table_insert(record->by_id, known->public.id, known);
                record_entry_clear(&old);
        } else
                add(&copy, record);
        changed(record);
}

void record_remove(Record *record, const char *id) {
        if (g_hash_table_remove(record->by_id, id))
                changed(record);
}
