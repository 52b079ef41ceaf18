/* The clients of a benchmark: one thread, on a core of its own.
 *
 *     load WORK port=PORT pid=PID [connections=N] [depth=N] [bytes=N] [rate=N]
 *          [warm_up=SECONDS] [seconds=SECONDS] [requests=N]
 *
 * WORK is one of these:
 *
 *     lines       each connection sends `depth` lines at once, and the next ones when
 *                 all have come back; with a `rate`, lines are sent that often instead,
 *                 on whichever connection is free
 *     connect     connect, one line, half-close, wait for the server's end; again
 *     replies     each connection asks for `bytes` bytes, and again
 *     datagrams   each client has one datagram on its way
 *     hold        opens connections and keeps them, as told on standard input
 *
 * In C, so that the server is what is busy, and not this. Every byte of every reply is
 * compared with what it has to be; a wrong one ends the program. It prints one line of
 * JSON, with the CPU time that the server, whose process is PID, and it itself have used.
 * The window that is measured begins and ends as a reply is complete; it takes so many
 * seconds, and longer until there were so many requests.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE = 64,           /* bytes of a line, its end included */
    MAX_DEPTH = 16,      /* lines at once */
    MAX_EVENTS = 1024,
    OPENING = 32,        /* connections that are opened at once: less than any backlog */
    PATIENCE_MS = 30000, /* without any reply, after which a server counts as broken */
    RESEND_MS = 500,     /* without any datagram, after which all are sent again */
    PERIOD = 251,        /* of the pattern in long replies: a prime, so that no slip fits */
    SUBBUCKETS = 64,     /* of the histogram, for each power of two */
};

#define SECOND 1000000000LL

struct client {
    int fd;
    uint32_t sequence;
    int64_t sent_at;
    size_t received; /* of what is expected */
    int replied;     /* connect: the reply is here, and the end is awaited */
    char expected[MAX_DEPTH * LINE];
};

static struct {
    int port, connections, depth;
    pid_t pid;
    int64_t bytes, rate, requests;
    double warm_up, seconds;
} options = {.connections = 1, .depth = 1, .bytes = 1 << 20, .requests = 1, .warm_up = 0.2, .seconds = 1};

static struct client *clients;
static int poller;
static char scratch[1 << 20];
static char pattern[(1 << 20) + PERIOD];

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

/* ---- clocks ---- */

static int64_t read_clock(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0)
        die("the clock of the server's process cannot be read: %m");
    return time.tv_sec * SECOND + time.tv_nsec;
}

static int64_t now(void) { return read_clock(CLOCK_MONOTONIC); }

/* CPU time of all threads of the server, those that have ended included. */
static int64_t server_cpu(void)
{
    clockid_t clock;
    if (clock_getcpuclockid(options.pid, &clock) != 0)
        die("there is no process %d", options.pid);
    return read_clock(clock);
}

static int64_t own_cpu(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

/* ---- what is measured ---- */

static struct {
    int64_t warm_until, begin, end, server_cpu, own_cpu;
    long requests, late, resent, reset;
    long histogram[64 * SUBBUCKETS];
    int64_t worst;
    int is_measuring, is_over;
} window;

/* Log-linear: at most 1/64 of the value is lost. */
static int bucket_of(int64_t value)
{
    if (value < SUBBUCKETS)
        return value < 0 ? 0 : (int)value;
    int shift = 57 - __builtin_clzll(value); /* leaves 7 bits, the first of them 1 */
    return (shift + 1) * SUBBUCKETS + (int)((value >> shift) - SUBBUCKETS);
}

static int64_t middle_of(int bucket)
{
    if (bucket < SUBBUCKETS)
        return bucket;
    int shift = bucket / SUBBUCKETS - 1;
    return ((int64_t)(bucket % SUBBUCKETS + SUBBUCKETS) << shift) + ((1LL << shift) >> 1);
}

static int64_t percentile(double percent)
{
    long wanted = (long)(window.requests * percent / 100), seen = 0;
    for (int bucket = 0; bucket < 64 * SUBBUCKETS; bucket++)
        if ((seen += window.histogram[bucket]) > wanted)
            return middle_of(bucket);
    return window.worst;
}

static void begin_warm_up(void)
{
    window.warm_until = now() + (int64_t)(options.warm_up * SECOND);
}

/* Count a request that was sent at `sent_at` and is complete at `time`. */
static void count(int64_t sent_at, int64_t time)
{
    if (window.is_measuring) {
        int64_t latency = time - sent_at;
        window.requests++;
        window.histogram[bucket_of(latency)]++;
        if (latency > window.worst)
            window.worst = latency;
        if (time < window.end || window.requests < options.requests)
            return;
        window.is_over = 1;
        window.end = time;
        window.server_cpu = server_cpu() - window.server_cpu;
        window.own_cpu = own_cpu() - window.own_cpu;
    } else if (time >= window.warm_until) {
        window.is_measuring = 1;
        window.resent = window.late = window.reset = 0;
        window.begin = time;
        window.end = time + (int64_t)(options.seconds * SECOND);
        window.server_cpu = server_cpu();
        window.own_cpu = own_cpu();
    }
}

static void report(void)
{
    static const double percents[] = {1,  5,  10, 25, 50,   75,    90,
                                      95, 98, 99, 99.5, 99.9, 99.99};
    printf("{\"requests\": %ld, \"seconds\": %.6f, \"server_cpu\": %.6f, "
           "\"load_cpu\": %.6f, \"late\": %ld, \"resent\": %ld, \"reset\": %ld, "
           "\"latency_us\": {",
           window.requests, (double)(window.end - window.begin) / SECOND,
           (double)window.server_cpu / SECOND, (double)window.own_cpu / SECOND,
           window.late, window.resent, window.reset);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
        printf("\"%g\": %.2f, ", percents[i], percentile(percents[i]) / 1e3);
    printf("\"100\": %.2f}}\n", window.worst / 1e3);
}

/* ---- clients ---- */

static struct sockaddr_in address(uint32_t host, int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(host)};
}

/* From ever other addresses, so that the ports of closed connections do not run out. */
static int open_socket(int type)
{
    static uint32_t opened;
    int fd = socket(AF_INET, type, 0), on = 1;
    struct sockaddr_in here = address(0x7f000101 + opened++ % 250, 0);
    struct sockaddr_in there = address(INADDR_LOOPBACK, options.port);
    if (fd < 0)
        die("no socket: %m");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) != 0)
        die("cannot bind: %m");
    if (connect(fd, (struct sockaddr *)&there, sizeof there) != 0)
        die("cannot connect: %m");
    if (type == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void watch(struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event) != 0)
        die("cannot watch a socket: %m");
}

/* No two lines of a run are equal: the client, the sequence, a filling that turns. */
static void write_line(uint32_t number, uint32_t sequence, char *line)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 8; i++) {
        line[i] = digits[number >> (28 - 4 * i) & 15];
        line[8 + i] = digits[sequence >> (28 - 4 * i) & 15];
    }
    for (int i = 16; i < LINE - 1; i++)
        line[i] = 'A' + (i + sequence) % 26;
    line[LINE - 1] = '\n';
}

static void send_all(struct client *client, const char *data, size_t size)
{
    if (send(client->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("client %ld cannot send: %m", (long)(client - clients));
}

static void send_lines(struct client *client, int64_t time)
{
    for (int i = 0; i < options.depth; i++)
        write_line(client - clients, client->sequence++, client->expected + i * LINE);
    client->received = 0;
    client->sent_at = time;
    send_all(client, client->expected, options.depth * LINE);
}

/* Return how many bytes have come, 0 at the end, -1 if there are none yet. */
static ssize_t receive(struct client *client, size_t size)
{
    ssize_t got = recv(client->fd, scratch, size, MSG_DONTWAIT);
    if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        die("client %ld cannot receive: %m", (long)(client - clients));
    return got;
}

static void compare(struct client *client, const char *wanted, size_t size)
{
    if (memcmp(scratch, wanted, size) == 0)
        return;
    for (size_t i = 0; i < size; i++)
        if (scratch[i] != wanted[i])
            die("client %ld: byte %zu of the reply is %#x, and should be %#x",
                (long)(client - clients), client->received + i, scratch[i] & 255,
                wanted[i] & 255);
}

/* Take what has come of the lines that were sent. Return how many bytes. */
static size_t take_lines(struct client *client)
{
    size_t size = options.depth * LINE;
    ssize_t got = receive(client, size + 1);
    if (got < 0)
        return 0;
    if (got == 0)
        die("client %ld: the server has closed", (long)(client - clients));
    if (client->received + got > size)
        die("client %ld: more than a reply", (long)(client - clients));
    compare(client, client->expected + client->received, got);
    client->received += got;
    return got;
}

/* Open those from `first` to `last`, some at a time; each is served before the next. */
static void open_connections(int first, int last)
{
    for (int from = first; from < last; from += OPENING) {
        int to = from + OPENING < last ? from + OPENING : last;
        for (int i = from; i < to; i++) {
            clients[i].fd = open_socket(SOCK_STREAM);
            watch(&clients[i]);
            send_lines(&clients[i], now());
        }
        for (int missing = to - from; missing > 0;) {
            struct epoll_event ready[MAX_EVENTS];
            int events = epoll_wait(poller, ready, MAX_EVENTS, PATIENCE_MS);
            if (events == 0)
                die("%d new connections were not served", missing);
            for (int i = 0; i < events; i++) {
                struct client *client = ready[i].data.ptr;
                if (take_lines(client) && client->received == (size_t)options.depth * LINE)
                    missing--;
            }
        }
    }
}

/* ---- the works ---- */

/* Call `work` for each client that has something to read, until the window is over. */
static void run(void (*work)(struct client *))
{
    while (!window.is_over) {
        struct epoll_event ready[MAX_EVENTS];
        int events = epoll_wait(poller, ready, MAX_EVENTS, PATIENCE_MS);
        if (events == 0)
            die("no reply within %d s", PATIENCE_MS / 1000);
        for (int i = 0; i < events && !window.is_over; i++)
            work(ready[i].data.ptr);
    }
}

/* Count the lines that a client has received. Return whether that was all of them. */
static int count_lines(struct client *client)
{
    size_t before = client->received, got = take_lines(client);
    int64_t time = now();
    for (size_t i = before / LINE; i < (before + got) / LINE && !window.is_over; i++)
        count(client->sent_at, time);
    return got && client->received == (size_t)options.depth * LINE;
}

static void continue_lines(struct client *client)
{
    if (count_lines(client))
        send_lines(client, now());
}

/* At a rate: what is late is counted from when it should have been sent, so that a
 * server that stands still does not hide that by keeping the load away from it. */
static void run_steadily(void)
{
    int64_t pause = SECOND / options.rate, due = now();
    struct client **idle = calloc(options.connections, sizeof *idle);
    int idle_count = 0;
    prctl(PR_SET_TIMERSLACK, 1); /* ns: by default, a wait may take 50 µs longer */
    for (int i = options.connections; i-- > 0;)
        idle[idle_count++] = &clients[i];
    while (!window.is_over) {
        struct epoll_event ready[MAX_EVENTS];
        for (; idle_count && due <= now(); due += pause)
            send_lines(idle[--idle_count], due);
        int64_t left = idle_count ? due - now() : PATIENCE_MS * (SECOND / 1000);
        struct timespec wait = {.tv_sec = left < 0 ? 0 : left / SECOND,
                                .tv_nsec = left < 0 ? 0 : left % SECOND};
        int events = epoll_pwait2(poller, ready, MAX_EVENTS, &wait, NULL);
        if (events == 0 && idle_count == 0)
            die("no reply within %d s", PATIENCE_MS / 1000);
        for (int i = 0; i < events && !window.is_over; i++)
            if (count_lines(ready[i].data.ptr))
                idle[idle_count++] = ready[i].data.ptr;
    }
}

static void run_lines(void)
{
    open_connections(0, options.connections);
    begin_warm_up();
    if (options.rate) {
        run_steadily();
        return;
    }
    for (int i = 0; i < options.connections; i++)
        send_lines(&clients[i], now());
    run(continue_lines);
}

static void connect_anew(struct client *client)
{
    int64_t begin = now();
    client->fd = open_socket(SOCK_STREAM);
    client->replied = 0;
    watch(client);
    send_lines(client, begin);
}

static void continue_connect(struct client *client)
{
    if (!client->replied) {
        if (!take_lines(client) || client->received < (size_t)options.depth * LINE)
            return;
        client->replied = 1;
        shutdown(client->fd, SHUT_WR);
        return;
    }
    ssize_t got = recv(client->fd, scratch, 1, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got > 0)
        die("client %ld: more than a reply", (long)(client - clients));
    window.reset += got < 0; /* the reply is here, but that was no clean end */
    close(client->fd);
    count(client->sent_at, now());
    connect_anew(client);
}

static void run_connect(void)
{
    begin_warm_up();
    for (int i = 0; i < options.connections; i++)
        connect_anew(&clients[i]);
    run(continue_connect);
}

static void ask_for_reply(struct client *client)
{
    char request[32];
    int size = snprintf(request, sizeof request, "%lld\n", (long long)options.bytes);
    client->received = 0;
    client->sent_at = now();
    send_all(client, request, size);
}

static void continue_reply(struct client *client)
{
    size_t left = options.bytes - client->received;
    ssize_t got = receive(client, left + 1 < sizeof scratch ? left + 1 : sizeof scratch);
    if (got < 0)
        return;
    if (got == 0)
        die("client %ld: the server has closed", (long)(client - clients));
    if ((size_t)got > left)
        die("client %ld: more than a reply", (long)(client - clients));
    compare(client, pattern + client->received % PERIOD, got);
    client->received += got;
    if ((size_t)got < left)
        return;
    count(client->sent_at, now());
    ask_for_reply(client);
}

static void run_replies(void)
{
    begin_warm_up();
    for (int i = 0; i < options.connections; i++) {
        clients[i].fd = open_socket(SOCK_STREAM);
        watch(&clients[i]);
        ask_for_reply(&clients[i]);
    }
    run(continue_reply);
}

/* Whether a datagram answers one that has been sent again meanwhile. */
static int is_late(const struct client *client)
{
    char digits[9] = {0}, line[LINE];
    memcpy(digits, scratch + 8, 8);
    uint32_t sequence = strtoul(digits, NULL, 16);
    if (sequence + 1 >= client->sequence)
        return 0;
    write_line(client - clients, sequence, line);
    return memcmp(scratch, line, LINE) == 0;
}

static void continue_datagrams(struct client *client)
{
    ssize_t got = receive(client, sizeof scratch);
    if (got < 0)
        return;
    if (got == LINE && is_late(client)) {
        window.late++;
        return;
    }
    if (got != LINE)
        die("client %ld: a datagram of %zd bytes", (long)(client - clients), got);
    compare(client, client->expected, LINE);
    count(client->sent_at, now());
    send_lines(client, now());
}

static void run_datagrams(void)
{
    begin_warm_up();
    for (int i = 0; i < options.connections; i++) {
        clients[i].fd = open_socket(SOCK_DGRAM);
        watch(&clients[i]);
        send_lines(&clients[i], now());
    }
    for (int silent = 0; !window.is_over;) {
        struct epoll_event ready[MAX_EVENTS];
        int events = epoll_wait(poller, ready, MAX_EVENTS, RESEND_MS);
        silent = events ? 0 : silent + RESEND_MS;
        if (silent > PATIENCE_MS)
            die("no datagram within %d s", PATIENCE_MS / 1000);
        for (int i = 0; !events && i < options.connections; i++, window.resent++)
            send_lines(&clients[i], clients[i].sent_at);
        for (int i = 0; i < events && !window.is_over; i++)
            continue_datagrams(ready[i].data.ptr);
    }
}

/* Wait until the server has ended every connection, and tell in which way. */
static void await_ends(int opened)
{
    int ended = 0, reset = 0;
    while (ended + reset < opened) {
        struct epoll_event ready[MAX_EVENTS];
        int events = epoll_wait(poller, ready, MAX_EVENTS, PATIENCE_MS);
        if (events == 0)
            die("%d connections were not ended", opened - ended - reset);
        for (int i = 0; i < events; i++) {
            struct client *client = ready[i].data.ptr;
            ssize_t got = recv(client->fd, scratch, 1, MSG_DONTWAIT);
            if (got > 0)
                die("client %ld: more than a reply", (long)(client - clients));
            ended += got == 0;
            reset += got < 0;
            close(client->fd);
        }
    }
    printf("{\"ended\": %d, \"reset\": %d}\n", ended, reset);
}

/* Commands: "open N" opens until there are N; "ends" waits until the server ends them. */
static void run_hold(void)
{
    char command[64];
    int opened = 0;
    setlinebuf(stdout);
    while (fgets(command, sizeof command, stdin)) {
        if (strncmp(command, "ends", 4) == 0) {
            await_ends(opened);
            return;
        }
        int wanted = 0;
        if (sscanf(command, "open %d", &wanted) != 1 || wanted > options.connections)
            die("wrong command: %s", command);
        open_connections(opened, wanted);
        opened = wanted;
        printf("%d\n", opened);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} works[] = {{"lines", run_lines},
             {"connect", run_connect},
             {"replies", run_replies},
             {"datagrams", run_datagrams},
             {"hold", run_hold}};

static void read_option(const char *argument)
{
    const char *value = strchr(argument, '=');
    size_t size = value ? (size_t)(value - argument) : 0;
#define OPTION(option, number) \
    if (size == sizeof #option - 1 && strncmp(argument, #option, size) == 0) { \
        options.option = number(value + 1); \
        return; \
    }
    OPTION(port, atoi)
    OPTION(pid, atoi)
    OPTION(connections, atoi)
    OPTION(depth, atoi)
    OPTION(bytes, atoll)
    OPTION(rate, atoll)
    OPTION(requests, atoll)
    OPTION(warm_up, atof)
    OPTION(seconds, atof)
#undef OPTION
    die("no such option: %s", argument);
}

int main(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        read_option(argv[i]);
    if (options.connections < 1 || options.depth < 1 || options.depth > MAX_DEPTH)
        die("too few or too many of something");
    clients = calloc(options.connections, sizeof *clients);
    poller = epoll_create1(0);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i % PERIOD);
    for (size_t i = 0; argc > 1 && i < sizeof works / sizeof *works; i++)
        if (strcmp(works[i].name, argv[1]) == 0) {
            works[i].run();
            if (window.is_over)
                report();
            return 0;
        }
    die("no such work");
}
