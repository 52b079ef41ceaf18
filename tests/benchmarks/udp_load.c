/* Clients of an echo server: each has one datagram on its way at any time.
 *
 *     udp_load PORT CLIENTS DATAGRAMS     ->  prints how many came back
 *
 * In C, so that the server is what is busy, and not this.
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { MAX_CLIENTS = 1000, PAYLOAD = 64, PATIENCE_MS = 500 };

int main(int argc, char **argv)
{
    if (argc != 4 || atoi(argv[2]) > MAX_CLIENTS)
        return 2;
    int clients = atoi(argv[2]), sockets[MAX_CLIENTS], poll = epoll_create1(0);
    long wanted = atol(argv[3]), back = 0;
    char payload[PAYLOAD] = {'x'}, buffer[65536];
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons(atoi(argv[1])),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    for (int i = 0; i < clients; i++) {
        sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
        if (connect(sockets[i], (struct sockaddr *)&server, sizeof server) != 0)
            return 1;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = sockets[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, sockets[i], &event);
        send(sockets[i], payload, PAYLOAD, 0);
    }
    while (back < wanted) {
        struct epoll_event ready[MAX_CLIENTS];
        int count = epoll_wait(poll, ready, clients, PATIENCE_MS);
        for (int i = 0; i < count; i++) {
            if (recv(ready[i].data.fd, buffer, sizeof buffer, MSG_DONTWAIT) < 0)
                continue;
            back++;
            send(ready[i].data.fd, payload, PAYLOAD, 0);
        }
        /* All of them lost: ask again. */
        for (int i = 0; count == 0 && i < clients; i++)
            send(sockets[i], payload, PAYLOAD, 0);
    }
    printf("%ld\n", back);
    return 0;
}
