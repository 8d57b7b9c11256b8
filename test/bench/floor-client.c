// The least that polling over TCP costs: connect, ask, read to the end, close; one after the other, no parsing.
// usage: floor-client PORT POLLS   asks 127.64.0.1 to .95; prints CPU microseconds per poll.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static double usedUs(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

int main(int count, char **words) {
  if (count != 3) return 2;
  const int polls = atoi(words[2]);
  const char question[] = "{\"command\":\"stats\"}";
  static char answer[65536];
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
  const double before = usedUs();
  for (int poll = 0; poll < polls; poll += 1) {
    to.sin_addr.s_addr = htonl(0x7f400001 + poll % 95);
    const int line = socket(AF_INET, SOCK_STREAM, 0);
    if (line < 0 || connect(line, (struct sockaddr *)&to, sizeof to) != 0) return 1;
    if (send(line, question, strlen(question), MSG_NOSIGNAL) < 0) return 1;
    long size = 0, got = 0;
    while ((got = recv(line, answer, sizeof answer, 0)) > 0) size += got;
    close(line);
    if (size == 0) return 1;
  }
  printf("%.1f\n", (usedUs() - before) / polls);
  return 0;
}
