/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filter of system calls on top of systemd's, for what no setting of a unit can say.
 *
 * - Pairs of datagram sockets. RestrictAddressFamilies= concerns socket() alone, and a pair's end may be connected to, or send to, whatever
 *   address: any AF_UNIX datagram socket that all may write to, wherever its file is. Pairs of streams and of SOCK_SEQPACKET, which
 *   programs start their children with, are connected for good.
 * - What every plugin is refused anyway (check.c has seen to it) and no innocent one asks for, so that the kernel's audit tells of it:
 *   systemd's filters answer without a word.
 */
#include "launcher/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define FOREIGN_NUMBERS 0x40000000u /* x32: other numbers on the same architecture */
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#elif defined(__riscv)
#define NATIVE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__)
#define NATIVE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? AUDIT_ARCH_PPC64LE : AUDIT_ARCH_PPC64)
#elif defined(__loongarch64)
#define NATIVE AUDIT_ARCH_LOONGARCH64
#endif

#ifdef NATIVE

#ifndef FOREIGN_NUMBERS
#define FOREIGN_NUMBERS UINT32_MAX
#endif

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define TYPE_MASK 0xf
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* The flags of a system call are the low half of its argument. */
#define LOAD_ARGUMENT(n)                                                                                                                   \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                                                                                                 \
                 offsetof(struct seccomp_data, args[n]) + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : sizeof(uint32_t)))
#define JUMP(test, value, if_so, if_not) BPF_JUMP(BPF_JMP | BPF_##test | BPF_K, (value), (if_so), (if_not))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define REFUSE_CALL(name) JUMP(JEQ, SYS_##name, 0, 1), RETURN(REFUSE)
/* Behind it the flags are loaded and the number is not. */
#define REFUSE_NAMESPACES(name)                                                                                                            \
        JUMP(JEQ, SYS_##name, 0, 4), LOAD_ARGUMENT(0), JUMP(JSET, NAMESPACES, 0, 1), RETURN(REFUSE), RETURN(SECCOMP_RET_ALLOW)

static struct sock_filter program[] = {
        /* Their socketpair() would be another. SystemCallArchitectures=native says the same, and may have been taken away. */
        LOAD(arch),
        JUMP(JEQ, NATIVE, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        JUMP(JGE, FOREIGN_NUMBERS, 0, 1),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        /* socketpair(family, type, ...) */
        JUMP(JEQ, SYS_socketpair, 0, 6),
        LOAD_ARGUMENT(1),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TYPE_MASK),
        JUMP(JEQ, SOCK_STREAM, 2, 0),
        JUMP(JEQ, SOCK_SEQPACKET, 1, 0),
        RETURN(REFUSE),
        RETURN(SECCOMP_RET_ALLOW),
        REFUSE_CALL(mount),
        REFUSE_CALL(umount2),
        REFUSE_CALL(pivot_root),
        REFUSE_CALL(chroot),
        REFUSE_CALL(setns),
        REFUSE_NAMESPACES(unshare),
        REFUSE_NAMESPACES(clone),
        RETURN(SECCOMP_RET_ALLOW),
};

bool filter_apply(char *text, size_t size) {
        struct sock_fprog filter = { sizeof program / sizeof *program, program };

        /* SECCOMP_FILTER_FLAG_LOG: what is refused goes to the kernel's audit. Kernels and filters without seccomp() have the older way. */
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &filter) == 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0)
                return true;
        snprintf(text, size, "the sandbox is not what the manifest demands: its pairs of sockets cannot be filtered: %s", strerror(errno));
        return false;
}

#else

/* No 64 bit Linux that this knows the numbers of. 32 bit ones have socketcall(), into which no filter sees. */
bool filter_apply(char *text, size_t size) {
        return true;
}

#endif
