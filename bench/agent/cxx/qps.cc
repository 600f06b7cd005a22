// Qps is a program as the ones that use Lars from C++ are: each thread has a
// service of its own, and in lock step asks for a host with a protobuf message
// over UDP, waits for the answer and reports success.
//
//     qps IPV4 FIRST_PORT THREADS SECONDS
//
// prints one line: pairs, calls without an answer within a second, CPU time in
// microseconds, and the percentiles 50, 99 and 99.9 of a call in microseconds.
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "lars.pb.h"

using Clock = std::chrono::steady_clock;

constexpr int ports = 3, header = 8;

// Program is one thread with a socket and a service.
class Program {
public:
	Program(sockaddr_in agent, int modid) : modid(modid) {
		agent.sin_port = htons(uint16_t(ntohs(agent.sin_port) + (modid + cmdid) % ports));
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		timeval timeout{1, 0};
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
		if (fd < 0 || connect(fd, (sockaddr *)&agent, sizeof agent) != 0) {
			perror("qps: connect");
			exit(1);
		}
	}

	void run(Clock::time_point end) {
		for (auto now = Clock::now(); now < end; now = Clock::now()) {
			lars::GetHostResponse answer;
			if (!ask(answer)) {
				lost++;
				continue;
			}
			took.push_back(uint32_t(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - now).count()));
			lars::ReportRequest report;
			report.set_modid(modid);
			report.set_cmdid(cmdid);
			*report.mutable_host() = answer.host();
			report.set_retcode(0);
			send(lars::ID_ReportRequest, report);
		}
	}

	std::vector<uint32_t> took; // ns of each call
	int lost = 0;

private:
	// ask waits for the answer to its own question; false: none came in time.
	bool ask(lars::GetHostResponse &answer) {
		lars::GetHostRequest request;
		request.set_seq(++seq);
		request.set_modid(modid);
		request.set_cmdid(cmdid);
		send(lars::ID_GetHostRequest, request);
		do {
			char b[4096];
			ssize_t n = recvfrom(fd, b, sizeof b, 0, nullptr, nullptr);
			if (n < 0)
				return false;
			if (n < header || !answer.ParseFromArray(b + header, int(n) - header)) {
				fprintf(stderr, "qps: an answer that is no GetHostResponse\n");
				exit(1);
			}
		} while (answer.seq() != seq);
		return true;
	}

	void send(int32_t id, const google::protobuf::Message &message) {
		std::string body;
		message.SerializeToString(&body);
		char b[4096];
		int32_t head[] = {id, int32_t(body.size())};
		memcpy(b, head, header);
		memcpy(b + header, body.data(), body.size());
		sendto(fd, b, header + body.size(), 0, nullptr, 0);
	}

	static constexpr int cmdid = 1;
	int fd, modid;
	uint32_t seq = 0;
};

static long cpu_micros() {
	rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000L + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

int main(int argc, char **argv) {
	sockaddr_in agent{};
	agent.sin_family = AF_INET;
	if (argc != 5 || inet_pton(AF_INET, argv[1], &agent.sin_addr) != 1) {
		fprintf(stderr, "usage: qps IPV4 FIRST_PORT THREADS SECONDS\n");
		return 2;
	}
	agent.sin_port = htons(uint16_t(atoi(argv[2])));
	std::vector<Program> programs;
	for (int i = 1; i <= atoi(argv[3]); i++)
		programs.emplace_back(agent, i);

	long before = cpu_micros();
	auto end = Clock::now() + std::chrono::microseconds(long(atof(argv[4]) * 1e6));
	std::vector<std::thread> threads;
	for (auto &p : programs)
		threads.emplace_back(&Program::run, &p, end);
	for (auto &t : threads)
		t.join();
	long used = cpu_micros() - before;

	std::vector<uint32_t> took;
	int lost = 0;
	for (auto &p : programs) {
		took.insert(took.end(), p.took.begin(), p.took.end());
		lost += p.lost;
	}
	std::sort(took.begin(), took.end());
	auto percentile = [&](double p) { return took.empty() ? 0 : took[size_t(double(took.size() - 1) * p)] / 1e3; };
	printf("%zu %d %ld %.1f %.1f %.1f\n", took.size(), lost, used, percentile(0.5), percentile(0.99), percentile(0.999));
}
