/* Preloaded into a process: counts what it changes below one folder, and makes it fail, stop or die there on demand.

   An event is a call that changes a file or folder below the root, or syncs or closes a file that may be written. Each
   can be the one at which the process kills itself, waits for another, or from which on the disk is full. All can be
   logged, with the bytes written, so that a power cut at any of them can be replayed: see powercut.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/ucontext.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, OPEN, TRUNCATE, WRITE, RENAME, UNLINK, RMDIR, MKDIR, SYMLINK, LINK, SYNC, CLOSE, SYNC_ALL };

static struct {
    char root[PATH_MAX];
    size_t length;          /* of root; 0: nothing is watched */
    long events, spaces;    /* so far; spaces: those that need room on the disk */
    long kill_at, full_from, pause_at;
    int torn, error, tell, wait, log;
} s = {.log = -1};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- what the harness calls, through ctypes ------------------------------------------------------------------- */

void shim_watch(const char *root) {
    memset(&s, 0, sizeof s);
    s.log = -1;
    s.length = strlen(root);
    strcpy(s.root, root);
}
void shim_kill_at(long event, int torn) { s.kill_at = event; s.torn = torn; }
void shim_full_from(long space, int error) { s.full_from = space; s.error = error; }
void shim_pause_at(long event, int tell, int wait) { s.pause_at = event; s.tell = tell; s.wait = wait; }
void shim_log_to(int fd) { s.log = fd; }
long shim_events(void) { return s.events; }
long shim_spaces(void) { return s.spaces; }

/* --- paths ---------------------------------------------------------------------------------------------------- */

static int of_descriptor(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, (size_t)PATH_MAX - 1);
    path[n < 0 ? 0 : n] = 0;
    return n > 0;
}

static void absolute(int folder, const char *given, char *path) {
    char before[PATH_MAX] = "", whole[2 * PATH_MAX];
    if (given[0] != '/') {
        if (folder == AT_FDCWD) { if (!getcwd(before, sizeof before)) before[0] = 0; }
        else of_descriptor(folder, before);
    }
    snprintf(whole, sizeof whole, "%s/%s", before, given);
    char *to = path;
    for (char *from = whole; *from && to - path < PATH_MAX - 1;) {  /* without "//", "/./" and a last "/" */
        if (from[0] == '/' && (from[1] == '/' || from[1] == 0)) from += 1;
        else if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || from[2] == 0)) from += 2;
        else *to++ = *from++;
    }
    *to = 0;
}

static int watched(const char *path) {
    return s.length && !strncmp(path, s.root, s.length) && (path[s.length] == '/' || !path[s.length]);
}

static int writable(int fd, char *path) {
    if (!s.length || !of_descriptor(fd, path) || !watched(path)) return 0;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

/* --- an event ------------------------------------------------------------------------------------------------- */

struct record { uint32_t op, first, second, event; uint64_t inode, offset, bytes; };

static void put(const void *data, size_t n) {
    for (const char *at = data; n;) {
        ssize_t done = syscall(SYS_write, s.log, at, n);
        if (done <= 0) abort();
        at += done, n -= done;
    }
}

static void note(int op, const char *first, const char *second, uint64_t inode, uint64_t offset, const void *data,
                 size_t n) {
    if (s.log < 0) return;
    struct record r = {op, strlen(first), strlen(second), s.events, inode, offset, n};
    put(&r, sizeof r), put(first, r.first), put(second, r.second);
    if (data) put(data, n);
}

static uint64_t inode_at(const char *path) {
    struct stat found;
    return fstatat(AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) ? 0 : found.st_ino;
}
static uint64_t inode_of(int fd) { struct stat found; return fstat(fd, &found) ? 0 : found.st_ino; }

/* Counts an event, and dies or waits if it is the one; returns 1 if the disk is full for it. */
static int begin(int op, size_t bytes, int *tear) {
    s.events++;
    int space = op == CREATE || op == WRITE || op == MKDIR || op == SYMLINK || op == LINK;
    if (space) s.spaces++;
    if (s.events == s.pause_at) {
        char c = '.';
        syscall(SYS_write, s.tell, &c, 1);
        while (syscall(SYS_read, s.wait, &c, 1) < 0 && errno == EINTR);
    }
    if (s.events == s.kill_at) {
        if (op == WRITE && s.torn && bytes > 1) *tear = 1;
        else kill(getpid(), SIGKILL), pause();
    }
    if (s.full_from && s.spaces >= s.full_from && (space || (op == SYNC && s.error == EIO))) {
        if (op == WRITE && space && s.spaces == s.full_from && bytes > 1) { *tear = 2; return 0; }
        errno = s.error;
        return 1;
    }
    return 0;
}

/* One write of up to n bytes: `how` does it, at once or, where it is to be torn, its first half. */
#define WRITING(fd, n, CALL, DATA) do { \
    char path[PATH_MAX]; \
    int kept = errno; \
    if (!writable(fd, path)) { errno = kept; size_t size = n; (void)size; return CALL; } \
    errno = kept; \
    pthread_mutex_lock(&lock); \
    int tear = 0; ssize_t done = -1; size_t size = n; \
    if (!begin(WRITE, n, &tear)) { \
        if (tear) size = (n) / 2; \
        done = CALL; \
        if (tear == 1) kill(getpid(), SIGKILL), pause(); \
        if (done > 0 && s.log >= 0) { DATA; } \
    } \
    kept = errno; pthread_mutex_unlock(&lock); errno = kept; \
    return done; } while (0)

static void note_file(int fd, const char *path, off_t at, size_t n) {  /* what lies there now, as it was written */
    char link[64], *data = malloc(n ? n : 1);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    if (again < 0 || syscall(SYS_pread64, again, data, n, at) != (ssize_t)n) abort();
    syscall(SYS_close, again);
    note(WRITE, path, "", inode_of(fd), at, data, n);
    free(data);
}

ssize_t write(int fd, const void *data, size_t n) {
    WRITING(fd, n, syscall(SYS_write, fd, data, size), note_file(fd, path, lseek(fd, 0, SEEK_CUR) - done, done));
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    WRITING(fd, n, syscall(SYS_pwrite64, fd, data, size, at), note_file(fd, path, at, done));
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }
ssize_t writev(int fd, const struct iovec *parts, int n_parts) {
    size_t n = 0;
    for (int i = 0; i < n_parts; i++) n += parts[i].iov_len;
    WRITING(fd, n, (size == n ? syscall(SYS_writev, fd, parts, n_parts)
                              : syscall(SYS_write, fd, parts[0].iov_base, parts[0].iov_len / 2)),
            note_file(fd, path, lseek(fd, 0, SEEK_CUR) - done, done));
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t n) {
    WRITING(to, n, syscall(SYS_sendfile, to, from, at, size), note_file(to, path, lseek(to, 0, SEEK_CUR) - done, done));
}
ssize_t sendfile(int to, int from, off_t *at, size_t n) { return sendfile64(to, from, at, n); }
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *into, size_t n, unsigned flags) {
    WRITING(to, n, syscall(SYS_copy_file_range, from, at, to, into, size, flags),
            note_file(to, path, (into ? *into : lseek(to, 0, SEEK_CUR)) - done, done));
}
static ssize_t fwritten(const void *data, size_t size, size_t n, FILE *file) {  /* NumPy's tofile */
    static size_t (*real)(const void *, size_t, size_t, FILE *);
    if (!real) real = dlsym(RTLD_NEXT, "fwrite");
    size_t done = real(data, size, n, file);
    return fflush(file) ? -1 : (ssize_t)(done * size);
}
static ssize_t fwrite_watched(const void *data, size_t n, FILE *file) {
    int fd = fileno(file);
    WRITING(fd, n, fwritten(data, 1, size, file), note_file(fd, path, lseek(fd, 0, SEEK_CUR) - done, done));
}
size_t fwrite(const void *data, size_t size, size_t n, FILE *file) {
    char path[PATH_MAX];
    static size_t (*real)(const void *, size_t, size_t, FILE *);
    if (!real) real = dlsym(RTLD_NEXT, "fwrite");
    if (!size || !n || fileno(file) < 0 || !writable(fileno(file), path)) return real(data, size, n, file);
    ssize_t done = fwrite_watched(data, size * n, file);
    return done < 0 ? 0 : done / size;
}

/* --- files ---------------------------------------------------------------------------------------------------- */

static int opened(int folder, const char *given, int flags, mode_t mode) {
    char path[PATH_MAX];
    int changes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    if (!s.length || !changes) return syscall(SYS_openat, folder, given, flags, mode);
    absolute(folder, given, path);
    if (!watched(path)) return syscall(SYS_openat, folder, given, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat was;
    int unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    int there = !unnamed && !fstatat(AT_FDCWD, path, &was, 0), tear = 0, fd = -1;
    int op = unnamed || (!there && flags & O_CREAT) ? CREATE : there && flags & O_TRUNC ? TRUNCATE : OPEN;
    if (!begin(op, 0, &tear)) {
        fd = syscall(SYS_openat, folder, given, flags, mode);
        if (fd >= 0) note(op, unnamed ? "" : path, "", inode_of(fd), 0, NULL, 0);
    }
    int kept = errno;
    pthread_mutex_unlock(&lock);
    errno = kept;
    return fd;
}
#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list more; va_start(more, flags); mode = va_arg(more, unsigned); va_end(more); }
int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* A call on an open file that changes, syncs or closes it. */
#define ON_FILE(op, fd, is, CALL, NOTE) do { \
    char path[PATH_MAX]; int kept = errno; \
    if (!(is)) { errno = kept; return CALL; } \
    errno = kept; pthread_mutex_lock(&lock); \
    int tear = 0, done = -1; uint64_t inode = inode_of(fd); (void)inode; \
    if (!begin(op, 0, &tear) && !(done = CALL)) { NOTE; } \
    kept = errno; pthread_mutex_unlock(&lock); errno = kept; \
    return done; } while (0)

int ftruncate64(int fd, off64_t size) {
    ON_FILE(TRUNCATE, fd, writable(fd, path), syscall(SYS_ftruncate, fd, size),
            note(TRUNCATE, path, "", inode, size, NULL, 0));
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int fallocate64(int fd, int how, off64_t at, off64_t n) {
    ON_FILE(WRITE, fd, writable(fd, path), syscall(SYS_fallocate, fd, how, at, n),
            note(TRUNCATE, path, "", inode, lseek(fd, 0, SEEK_END), NULL, 0));
}
int fallocate(int fd, int how, off_t at, off_t n) { return fallocate64(fd, how, at, n); }
int posix_fallocate64(int fd, off64_t at, off64_t n) { return fallocate64(fd, 0, at, n) ? errno : 0; }
int posix_fallocate(int fd, off_t at, off_t n) { return posix_fallocate64(fd, at, n); }
int fsync(int fd) {
    ON_FILE(SYNC, fd, s.length && of_descriptor(fd, path) && watched(path), syscall(SYS_fsync, fd),
            note(SYNC, path, "", inode, 0, NULL, 0));
}
int fdatasync(int fd) {
    ON_FILE(SYNC, fd, s.length && of_descriptor(fd, path) && watched(path), syscall(SYS_fdatasync, fd),
            note(SYNC, path, "", inode, 0, NULL, 0));
}
int syncfs(int fd) {
    ON_FILE(SYNC_ALL, fd, s.length && of_descriptor(fd, path), syscall(SYS_syncfs, fd), note(SYNC_ALL, "", "", 0, 0, NULL, 0));
}
int close(int fd) {
    ON_FILE(CLOSE, fd, writable(fd, path), syscall(SYS_close, fd), note(CLOSE, path, "", inode, 0, NULL, 0));
}

/* --- names ---------------------------------------------------------------------------------------------------- */

/* A call that changes the name `first`, and maybe `second`; `inode` is what the name is of. */
#define ON_NAME(op, folder, given, CALL, INODE) do { \
    char first[PATH_MAX]; \
    if (!s.length) return CALL; \
    absolute(folder, given, first); \
    if (!watched(first)) return CALL; \
    pthread_mutex_lock(&lock); \
    int tear = 0, done = -1; \
    if (!begin(op, 0, &tear) && !(done = CALL)) note(op, first, second, INODE, 0, NULL, 0); \
    int kept = errno; pthread_mutex_unlock(&lock); errno = kept; \
    return done; } while (0)

int unlinkat(int folder, const char *path, int flags) {
    const char *second = "";
    ON_NAME(flags & AT_REMOVEDIR ? RMDIR : UNLINK, folder, path, syscall(SYS_unlinkat, folder, path, flags), 0);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    struct stat found;
    return unlinkat(AT_FDCWD, path, !lstat(path, &found) && S_ISDIR(found.st_mode) ? AT_REMOVEDIR : 0);
}
int mkdirat(int folder, const char *path, mode_t mode) {
    const char *second = "";
    ON_NAME(MKDIR, folder, path, syscall(SYS_mkdirat, folder, path, mode), inode_at(first));
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int symlinkat(const char *target, int folder, const char *path) {
    const char *second = target;
    ON_NAME(SYMLINK, folder, path, syscall(SYS_symlinkat, target, folder, path), inode_at(first));
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }
int linkat(int from, const char *old, int folder, const char *path, int flags) {
    const char *second = "";
    ON_NAME(LINK, folder, path, syscall(SYS_linkat, from, old, folder, path, flags), inode_at(first));
}
int link(const char *old, const char *path) { return linkat(AT_FDCWD, old, AT_FDCWD, path, 0); }
int renameat2(int from, const char *old, int folder, const char *path, unsigned flags) {
    char second[PATH_MAX];
    absolute(folder, path, second);
    ON_NAME(RENAME, from, old, syscall(SYS_renameat2, from, old, folder, path, flags), flags);
}
int renameat(int from, const char *old, int folder, const char *path) { return renameat2(from, old, folder, path, 0); }
int rename(const char *old, const char *path) { return renameat2(AT_FDCWD, old, AT_FDCWD, path, 0); }

/* --- who calls the kernel past libc ---------------------------------------------------------------------------- */

/* Rust's rustix does, to rename. A filter sends each renaming that does not come from libc's `syscall`, which is what
   this file calls, to a signal, whose handler does it as above. */
#ifndef __x86_64__
void shim_filter(void) {}
#else
static void past_libc(int number, siginfo_t *info, void *context) {
    (void)number;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    int kept = errno, flags = info->si_syscall == SYS_renameat2 ? r[REG_R8] : 0;
    int done = info->si_syscall == SYS_rename
        ? renameat2(AT_FDCWD, (char *)r[REG_RDI], AT_FDCWD, (char *)r[REG_RSI], 0)
        : renameat2(r[REG_RDI], (char *)r[REG_RSI], r[REG_RDX], (char *)r[REG_R10], flags);
    r[REG_RAX] = done ? -errno : 0;
    errno = kept;
}

void shim_filter(void) {  /* for this process and its forks: at another's addresses, every call would be trapped */
    uint64_t from = (uint64_t)dlsym(RTLD_NEXT, "syscall"), to = from + 64;
    if (from >> 32 != to >> 32) return;
    struct sigaction action = {.sa_sigaction = past_libc, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSYS, &action, NULL);
#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define HIGH_HALF BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4)
    struct sock_filter program[] = {
        FIELD(nr),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rename, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        HIGH_HALF,
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, from >> 32, 0, 4),
        FIELD(instruction_pointer),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)from, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)to, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog whole = {sizeof program / sizeof *program, program};
    if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole);
}
#endif
