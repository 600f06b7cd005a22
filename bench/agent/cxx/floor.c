/*
 * The floor answers GetHost and swallows Report without any work: three threads,
 * each with a port, a blocking receive, and a send of prepared bytes for each
 * GetHost. It is what an agent costs on the same kernel that takes its datagrams
 * one by one; in C, so that no scheduler but the kernel's has a part in it.
 *
 *     floor IPV4 FIRST_PORT
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { ports = 3, header = 8, get_host_request = 4, get_host_response = 5, buffer = 4 << 20 };

/* Field 5 of an answer: the host 10.0.0.1:7777. */
static const unsigned char host[] = {0x2a, 0x08, 0x08, 0x81, 0x80, 0x80, 0x50, 0x10, 0xe1, 0x3c};

/* answer copies sequence number and service of each query into the answer, as
 * bytes: they stand at the same place in both. */
static void *answer(void *arg) {
	int fd = *(int *)arg;
	unsigned char *b = malloc(65536 + sizeof host);
	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof from;
		ssize_t n = recvfrom(fd, b, 65536, 0, (struct sockaddr *)&from, &size);
		int32_t id;
		if (n < header || (memcpy(&id, b, sizeof id), id != get_host_request))
			continue;
		memcpy(b + n, host, sizeof host);
		n += sizeof host;
		int32_t head[] = {get_host_response, (int32_t)n - header};
		memcpy(b, head, header);
		sendto(fd, b, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
	return NULL;
}

int main(int argc, char **argv) {
	struct sockaddr_in addr = {.sin_family = AF_INET};
	if (argc != 3 || inet_pton(AF_INET, argv[1], &addr.sin_addr) != 1) {
		fprintf(stderr, "usage: floor IPV4 FIRST_PORT\n");
		return 2;
	}
	int fd[ports];
	pthread_t thread[ports];
	for (int i = 0; i < ports; i++) {
		addr.sin_port = htons((uint16_t)(atoi(argv[2]) + i));
		fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		setsockopt(fd[i], SOL_SOCKET, SO_RCVBUFFORCE, &(int){buffer}, sizeof(int));
		if (bind(fd[i], (struct sockaddr *)&addr, sizeof addr) != 0) {
			perror("floor: bind");
			return 1;
		}
	}
	for (int i = 0; i < ports; i++)
		pthread_create(&thread[i], NULL, answer, &fd[i]);
	pthread_join(thread[0], NULL); /* never */
}
