/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/worker.h"

#include "basic/list.h"

#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

typedef struct Job {
        ListNode node;
        void (*run)(void *data);
        void *data;
} Job;

struct Worker {
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        List jobs;            /* under the mutex */
        bool leaving;         /* under the mutex */
        atomic_size_t n_jobs; /* queued and running */
};

/* NULL: the queue is empty and stays so. */
static Job *next_job(Worker *worker) {
        Job *job;

        pthread_mutex_lock(&worker->mutex);
        while (list_empty(&worker->jobs) && !worker->leaving)
                pthread_cond_wait(&worker->changed, &worker->mutex);
        job = list_first(&worker->jobs, Job, node);
        if (job)
                list_unlink(&job->node);
        pthread_mutex_unlock(&worker->mutex);
        return job;
}

static void *work(void *userdata) {
        Worker *worker = userdata;
        Job *job;

        while ((job = next_job(worker))) {
                job->run(job->data);
                g_free(job);
                atomic_fetch_sub(&worker->n_jobs, 1);
        }
        return NULL;
}

/* Signals are the loop's: the thread starts with all of them blocked. */
static int start_thread(Worker *worker) {
        sigset_t all, before;
        int r;

        sigfillset(&all);
        r = pthread_sigmask(SIG_SETMASK, &all, &before);
        if (r != 0)
                return -r;
        r = pthread_create(&worker->thread, NULL, work, worker);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0)
                return -r;
        pthread_setname_np(worker->thread, "plugind-worker");
        return 0;
}

static void worker_destroy(Worker *worker) {
        pthread_cond_destroy(&worker->changed);
        pthread_mutex_destroy(&worker->mutex);
        g_free(worker);
}

int worker_new(Worker **ret) {
        Worker *worker = g_new0(Worker, 1);
        int r;

        list_init(&worker->jobs);
        pthread_mutex_init(&worker->mutex, NULL);
        pthread_cond_init(&worker->changed, NULL);
        r = start_thread(worker);
        if (r < 0) {
                worker_destroy(worker);
                return r;
        }
        *ret = worker;
        return 0;
}

Worker *worker_free(Worker *worker) {
        if (!worker)
                return NULL;
        pthread_mutex_lock(&worker->mutex);
        worker->leaving = true;
        pthread_cond_signal(&worker->changed);
        pthread_mutex_unlock(&worker->mutex);
        pthread_join(worker->thread, NULL);
        worker_destroy(worker);
        return NULL;
}

void worker_push(Worker *worker, void (*run)(void *data), void *data) {
        Job *job = g_new(Job, 1);

        *job = (Job){ .run = run, .data = data };
        atomic_fetch_add(&worker->n_jobs, 1);
        pthread_mutex_lock(&worker->mutex);
        list_append(&worker->jobs, &job->node);
        pthread_cond_signal(&worker->changed);
        pthread_mutex_unlock(&worker->mutex);
}

size_t worker_queued(const Worker *worker) {
        return atomic_load(&worker->n_jobs);
}
