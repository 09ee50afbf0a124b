/* Keeps a program on loopback: loaded with LD_PRELOAD, it stands before the calls that name an
 * address. Reaching anything but 127.0.0.0/8 and ::1 fails with ENETUNREACH; listening on any
 * address becomes listening on loopback. 198.51.100.1 (TEST-NET-2) means 127.0.0.1: Transmission
 * takes no peer at 127.0.0.0/8 from a tracker. The program also ends with the tests that started
 * it, however these end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define ALIAS 0xC6336401u /* 198.51.100.1 */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

__attribute__((constructor)) static void end_with_the_parent(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int is_loopback6(const struct in6_addr *a) {
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

/* Copies an address to where it may go; 0 if it may go nowhere. Other families (unix, netlink)
 * and a missing address pass as they are: *out is then left empty. */
static int confine(const struct sockaddr *in, socklen_t length, union address *out, int any_is_ours) {
    memset(out, 0, sizeof *out);
    if (in == NULL)
        return 1;
    if (in->sa_family == AF_INET && length >= sizeof out->v4) {
        memcpy(&out->v4, in, sizeof out->v4);
        in_addr_t host = ntohl(out->v4.sin_addr.s_addr);
        if (host == ALIAS || (any_is_ours && host == INADDR_ANY))
            out->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return host == ALIAS || host >> 24 == 127 || (any_is_ours && host == INADDR_ANY);
    }
    if (in->sa_family == AF_INET6 && length >= sizeof out->v6) {
        memcpy(&out->v6, in, sizeof out->v6);
        if (any_is_ours && IN6_IS_ADDR_UNSPECIFIED(&out->v6.sin6_addr))
            out->v6.sin6_addr = in6addr_loopback;
        return is_loopback6(&out->v6.sin6_addr);
    }
    return in->sa_family != AF_INET && in->sa_family != AF_INET6;
}

static const struct sockaddr *chosen(const struct sockaddr *in, const union address *out) {
    return out->any.sa_family ? &out->any : in;
}

static int refuse(void) {
    errno = ENETUNREACH;
    return -1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int connect(int fd, const struct sockaddr *to, socklen_t length) {
    REAL(connect);
    union address at;
    return confine(to, length, &at, 0) ? real(fd, chosen(to, &at), length) : refuse();
}

int bind(int fd, const struct sockaddr *to, socklen_t length) {
    REAL(bind);
    union address at;
    return confine(to, length, &at, 1) ? real(fd, chosen(to, &at), length) : refuse();
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
               socklen_t length) {
    REAL(sendto);
    union address at;
    if (!confine(to, length, &at, 0))
        return refuse();
    return real(fd, data, size, flags, chosen(to, &at), length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    REAL(sendmsg);
    union address at;
    if (!confine(message->msg_name, message->msg_namelen, &at, 0))
        return refuse();
    struct msghdr sent = *message;
    sent.msg_name = (void *)chosen(message->msg_name, &at);
    return real(fd, &sent, flags);
}

/* Datagrams in bulk are used by name resolvers and QUIC only; no client needs either here. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags) {
    REAL(sendmmsg);
    union address at;
    for (unsigned int i = 0; i < count; i++) {
        const struct msghdr *m = &messages[i].msg_hdr;
        if (!confine(m->msg_name, m->msg_namelen, &at, 0))
            return refuse();
    }
    return real(fd, messages, count, flags);
}
