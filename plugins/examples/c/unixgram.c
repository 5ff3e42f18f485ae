/* A radio over UNIX sockets (SOCK_SEQPACKET, which keeps the order and reports the end of a peer), in plain C.
 * Gateway and PNEs are processes of one machine and find each other at FOLDER/gateway. A link is a connection,
 * which the gateway greets with one byte when it accepts it; a frame is a datagram. It has no thread: the host's
 * timers and descriptor watches drive it, and all callbacks run in their thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cpns/abi/ext/fd.h>
#include <cpns/abi/ext/timer.h>
#include <cpns/sdk/radio.h>

enum { links_max = 64, mtu_max = 4096, tick_ms = 20, kind = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK };
enum { traits = CPNS_TRAIT_RELIABLE | CPNS_TRAIT_ORDERED | CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED };

static const cpns_parameter_spec specs[] = {
    {"folder", "Folder of the common socket; gateway and PNEs need write permission.", CPNS_PARAMETER_TEXT,
     CPNS_PARAMETER_OF_BOTH | CPNS_PARAMETER_IS_ADDRESS, NULL, 1, 90, NULL},
    {"mtu", "Bytes of a frame; the same on both sides.", CPNS_PARAMETER_NUMBER, CPNS_PARAMETER_OF_BOTH, "512",
     23, mtu_max, NULL}};
static const cpns_parameter_list known = CPNS_PARAMETER_LIST(specs);

struct slot { /* a link, or an endpoint that waits for one */
  struct radio* radio;
  int fd;                         /* -1: not connected */
  uint32_t ending;                /* 0, or the reason why it goes down at the next tick */
  uint64_t watch, endpoint, link; /* endpoint 0: none, or removed; link 0: not greeted yet */
};

struct radio {
  cpns_transport table;
  const cpns_host* host;
  const cpns_ext_timer* timer;
  const cpns_ext_fd* fds;
  struct sockaddr_un gateway;
  bool central;
  uint32_t mtu;
  pthread_mutex_t
      lock; /* protects all below; not held during calls in which the host may call back or wait */
  bool scanning, closing;
  int listener;
  uint64_t tick, last_link;
  struct slot slots[links_max];
};

#define each_slot(p, r)                                                                                      \
  struct slot* p = (r)->slots;                                                                               \
  p < (r)->slots + links_max;                                                                                \
  ++p

/* In the host's thread: datagrams arrived, or more can be sent. */
static void ready(void* user, uint32_t events) {
  struct slot* p = user;
  struct radio* r = p->radio;
  uint8_t data[mtu_max];
  if (events & CPNS_FD_WRITABLE) r->fds->change(r->host->context, p->watch, CPNS_FD_READABLE);
  if (events & CPNS_FD_WRITABLE) r->host->writable(r->host->context, p->link);
  for (ssize_t n = 1; n > 0;) {
    n = recv(p->fd, data, sizeof data, MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    pthread_mutex_lock(&r->lock);
    const bool greeted = n == 1 && p->link == 0 && p->ending == 0;
    const bool frame = n > 0 && n <= (ssize_t)r->mtu && p->link != 0 && p->ending == 0 && !r->closing;
    if (greeted) p->link = ++r->last_link;
    if (!greeted && !frame && p->ending == 0) p->ending = n > 0 ? CPNS_DOWN_BAD_FRAME : CPNS_DOWN_LOST;
    if (n <= 0) r->fds->change(r->host->context, p->watch, 0);
    pthread_mutex_unlock(&r->lock);
    if (greeted) r->host->link_up(r->host->context, p->link, p->endpoint, r->gateway.sun_path);
    if (frame) r->host->frame(r->host->context, p->link, data, (size_t)n);
  }
}

/* Call it with the lock held: connects the slot, if possible now. */
static bool connected(struct radio* r, struct slot* p) {
  if (r->closing || p->fd >= 0 || (r->central ? !r->scanning : p->endpoint == 0)) return false;
  p->fd =
      r->central ? accept4(r->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : socket(AF_UNIX, kind, 0);
  const bool there = r->central ? send(p->fd, "W", 1, MSG_NOSIGNAL) == 1
                                : connect(p->fd, (struct sockaddr*)&r->gateway, sizeof r->gateway) == 0;
  p->watch = there ? r->fds->watch(r->host->context, p->fd, 0, ready, p) : 0;
  if (p->watch != 0 && r->central) p->link = ++r->last_link;
  if (p->watch == 0 && p->fd >= 0) close(p->fd), p->fd = -1;
  return p->watch != 0;
}

/* In the host's thread, periodically: connects free slots, and reports links that have ended. */
static void tick(void* user) {
  struct radio* r = user;
  bool none_waits = false;
  for (each_slot(p, r)) {
    pthread_mutex_lock(&r->lock);
    const bool fresh = !none_waits && connected(r, p);
    none_waits = none_waits || (r->central && p->fd < 0);
    const uint32_t why = p->fd >= 0 ? p->ending : 0;
    pthread_mutex_unlock(&r->lock);
    if (fresh && r->central) r->host->link_up(r->host->context, p->link, 0, "unixgram");
    if (fresh) r->fds->change(r->host->context, p->watch, CPNS_FD_READABLE);
    if (why == 0) continue;
    r->fds->unwatch(r->host->context, p->watch);
    if (p->link != 0) r->host->link_down(r->host->context, p->link, why, NULL);
    pthread_mutex_lock(&r->lock);
    close(p->fd);
    *p = (struct slot){r, -1, 0, 0, p->endpoint, 0};
    pthread_mutex_unlock(&r->lock);
  }
  pthread_mutex_lock(&r->lock);
  if (!r->closing) r->tick = r->timer->start(r->host->context, tick_ms, tick, r);
  pthread_mutex_unlock(&r->lock);
}

static void get_limits(void* context, cpns_limits* out) {
  const struct radio* r = context;
  cpns_limits_fill(out, (cpns_limits){0, r->mtu, links_max, r->central ? 0 : links_max, traits, 0});
}

static cpns_status scan(void* context, bool on) {
  struct radio* r = context;
  pthread_mutex_lock(&r->lock);
  r->scanning = on;
  pthread_mutex_unlock(&r->lock);
  return r->central ? CPNS_OK : CPNS_UNSUPPORTED;
}

/* Call it with the lock held: the slot of a link, or of an endpoint; both 0: a free one. */
static struct slot* find(struct radio* r, uint64_t endpoint, uint64_t link) {
  for (each_slot(p, r))
    if (link != 0 ? p->link == link && p->ending == 0
                  : p->endpoint == endpoint && (endpoint != 0 || p->fd < 0))
      return p;
  return NULL;
}

static cpns_status add_endpoint(void* context, uint64_t endpoint, const char* name) {
  struct radio* r = context;
  pthread_mutex_lock(&r->lock);
  struct slot* p = r->central || find(r, endpoint, 0) != NULL ? NULL : find(r, 0, 0);
  if (p != NULL) p->endpoint = endpoint;
  pthread_mutex_unlock(&r->lock);
  return (void)name, p != NULL ? CPNS_OK : r->central ? CPNS_UNSUPPORTED : CPNS_LIMIT;
}

static void end(struct radio* r, uint64_t endpoint, uint64_t link) {
  pthread_mutex_lock(&r->lock);
  struct slot* p = endpoint != 0 || link != 0 ? find(r, endpoint, link) : NULL;
  if (p != NULL && link == 0) p->endpoint = 0;
  if (p != NULL && p->fd >= 0 && p->ending == 0) p->ending = CPNS_DOWN_CLOSED;
  pthread_mutex_unlock(&r->lock);
}
static void remove_endpoint(void* context, uint64_t endpoint) { end(context, endpoint, 0); }
static void disconnect(void* context, uint64_t link) { end(context, 0, link); }

static cpns_status send_frame(void* context, uint64_t link, const uint8_t* data, size_t size) {
  struct radio* r = context;
  if (size == 0 || size > r->mtu) return CPNS_LIMIT;
  pthread_mutex_lock(&r->lock);
  struct slot* p = link != 0 ? find(r, 0, link) : NULL;
  const bool sent = p != NULL && send(p->fd, data, size, MSG_NOSIGNAL) >= 0;
  const bool full = p != NULL && !sent && errno == EAGAIN;
  if (full) r->fds->change(r->host->context, p->watch, CPNS_FD_READABLE | CPNS_FD_WRITABLE);
  if (p != NULL && !sent && !full) p->ending = CPNS_DOWN_LOST;
  pthread_mutex_unlock(&r->lock);
  return sent ? CPNS_OK : full ? CPNS_WOULD_BLOCK : CPNS_NO_LINK;
}

static void close_radio(void* context) {
  struct radio* r = context;
  pthread_mutex_lock(&r->lock);
  r->closing = true; /* no new ticks and connections */
  pthread_mutex_unlock(&r->lock);
  r->timer->stop(r->host->context, r->tick);
  for (each_slot(p, r)) {
    r->fds->unwatch(r->host->context, p->watch);
    if (p->fd >= 0) close(p->fd);
  }
  if (r->listener >= 0) unlink(r->gateway.sun_path), close(r->listener);
  pthread_mutex_destroy(&r->lock);
  free(r);
}

/* Replaces the socket of a gateway that is gone; fails if another gateway answers at it. */
static bool bind_gateway(struct radio* r) {
  struct sockaddr* at = (struct sockaddr*)&r->gateway;
  r->listener = socket(AF_UNIX, kind, 0);
  if (connect(r->listener, at, sizeof r->gateway) != 0 && errno == ECONNREFUSED) unlink(r->gateway.sun_path);
  if (bind(r->listener, at, sizeof r->gateway) == 0 && listen(r->listener, 64) == 0) return true;
  return close(r->listener), false;
}

static cpns_status open_radio(const cpns_host* host, const cpns_open_args* args, const cpns_transport** out) {
  const cpns_status checked = cpns_open_check(&known, host, args);
  struct radio* r = checked == CPNS_OK ? calloc(1, sizeof *r) : NULL;
  if (r == NULL) return checked != CPNS_OK ? checked : CPNS_ERROR;
  r->table = cpns_transport_table(r, get_limits, scan, add_endpoint, remove_endpoint, send_frame, disconnect,
                                  close_radio);
  r->host = host;
  r->timer = host->get_extension(host->context, CPNS_EXT_TIMER);
  r->fds = host->get_extension(host->context, CPNS_EXT_FD);
  r->central = args->role == CPNS_ROLE_CENTRAL;
  r->mtu = (uint32_t)cpns_parameter_number(&known, args, "mtu");
  r->gateway.sun_family = AF_UNIX;
  r->listener = -1;
  pthread_mutex_init(&r->lock, NULL);
  for (each_slot(p, r)) *p = (struct slot){r, -1, 0, 0, 0, 0};
  const char* folder = cpns_parameter_text(&known, args, "folder");
  snprintf(r->gateway.sun_path, sizeof r->gateway.sun_path, "%s/gateway", folder);
  if (r->timer == NULL || r->fds == NULL || (r->central && !args->probe && !bind_gateway(r))) {
    free(r);
    return cpns_unavailable(host, folder, strerror(errno));
  }
  if (!args->probe) r->tick = r->timer->start(host->context, 0, tick, r);
  *out = &r->table;
  return CPNS_OK;
}

CPNS_ENTRY("unixgram", "1.0.0", "Frames as UNIX datagrams on one machine", specs, open_radio);
