/*
 * The kernel's own figures for small packets: one process, one end of each exchange in each of two
 * network namespaces (or both in the present one). Prints {"count":..,"cpuSeconds":..,"wallSeconds":..}.
 *
 *   kernel_peer rr|connect|udp ADDRESS SECONDS [NAMESPACE-OF-SERVER]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64

static struct sockaddr_in address;
static int here = -1, there = -1;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int check(int result, const char *what) {
  if (result < 0) fail(what);
  return result;
}

static void enter(int ns) {
  if (ns >= 0) check(setns(ns, CLONE_NEWNET), "setns");
}

static int server_socket(int type) {
  int one = 1;
  enter(there);
  int fd = check(socket(AF_INET, type, 0), "socket");
  enter(here);
  check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
  check(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
  if (type == SOCK_STREAM) check(listen(fd, 1024), "listen");
  return fd;
}

static int client_socket(int type) {
  int one = 1;
  int fd = check(socket(AF_INET, type, 0), "socket");
  if (type == SOCK_STREAM) {
    check(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5), "TCP_CONGESTION");
    check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
  }
  check(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
  return fd;
}

static double seconds_of(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

static double cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return seconds_of(u.ru_utime) + seconds_of(u.ru_stime);
}

static double wall(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int listener, to, from;

static void round_trip(void) {
  char byte = 1;
  check(write(to, &byte, 1), "write");
  check(read(from, &byte, 1), "read");
  check(write(from, &byte, 1), "write");
  check(read(to, &byte, 1), "read");
}

static void once(const char *mode) {
  char datagram[64] = {0};
  if (mode[0] == 'r') {
    round_trip();
  } else if (mode[0] == 'c') {
    struct linger reset = {1, 0};
    to = client_socket(SOCK_STREAM);
    from = check(accept(listener, NULL, NULL), "accept");
    round_trip();
    check(setsockopt(to, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), "SO_LINGER");
    close(to);
    close(from);
  } else {
    for (int i = 0; i < BATCH; i++) check(send(to, datagram, 64, 0), "send");
    for (int i = 0; i < BATCH; i++) check(recv(from, datagram, 64, 0), "recv");
  }
}

static long repeat(const char *mode, double seconds) {
  double end = cpu() + seconds;
  long count = 0;
  while (cpu() < end) {
    for (int i = 0; i < 16; i++) once(mode);
    count += mode[0] == 'u' ? 16 * BATCH : 16;
  }
  return count;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const char *mode = argv[1];
  double seconds = atof(argv[3]);
  address.sin_family = AF_INET;
  address.sin_port = htons(5555);
  inet_pton(AF_INET, argv[2], &address.sin_addr);
  if (argc > 4) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", argv[4]);
    here = check(open("/proc/self/ns/net", O_RDONLY), "own namespace");
    there = check(open(path, O_RDONLY), path);
  }
  listener = server_socket(mode[0] == 'u' ? SOCK_DGRAM : SOCK_STREAM);
  if (mode[0] == 'u') {
    from = listener;
    to = client_socket(SOCK_DGRAM);
  } else if (mode[0] == 'r') {
    to = client_socket(SOCK_STREAM);
    from = check(accept(listener, NULL, NULL), "accept");
  }
  repeat(mode, seconds / 4);
  double c = cpu(), w = wall();
  long count = repeat(mode, seconds);
  printf("{\"unit\":\"%s\",\"count\":%ld,\"cpuSeconds\":%f,\"wallSeconds\":%f}\n", mode, count,
         cpu() - c, wall() - w);
  return 0;
}
