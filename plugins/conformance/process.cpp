#include "plugins/conformance/process.hpp"

#include <dirent.h>
#include <malloc.h>

#include <chrono>
#include <cstdint>
#include <thread>

/// jemalloc(3), if the program is linked with it.
extern "C" [[gnu::weak]] int mallctl(const char* name, void* old, std::size_t* old_size, void* fresh,
                                     std::size_t fresh_size);

namespace cpns::conformance {
namespace {

std::size_t entries(const char* folder) {
  std::size_t n = 0;
  DIR* d = ::opendir(folder);
  if (d == nullptr) return 0;
  while (const auto* e = ::readdir(d)) n += e->d_name[0] != '.' ? 1 : 0;
  ::closedir(d);
  return n;
}

}  // namespace

holdings threads_and_files() { return {entries("/proc/self/task"), entries("/proc/self/fd")}; }

std::string difference(const holdings& before, const holdings& after) {
  const auto more = [](std::size_t was, std::size_t is, const char* what) {
    return is > was ? std::to_string(is - was) + " more " + what : "no more " + std::string{what};
  };
  return more(before.files, after.files, "descriptors") + " and " +
         more(before.threads, after.threads, "threads");
}

bool settles(const holdings& before) {
  for (int i = 0; i < 500; ++i) {
    const auto now = threads_and_files();
    if (now.threads <= before.threads && now.files <= before.files) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  return false;
}

void leave_no_more(bench& b, const holdings& before, const std::string& what) {
  if (settles(before)) return;
  const auto now = threads_and_files();
  const auto words =
      what + " must leave nothing behind: there are " + difference(before, now) + " afterwards";
  if (now.files > before.files) b.note_breach("no-descriptor-leaks", words);
  if (now.threads > before.threads) b.note_breach("no-thread-leaks", words);
  throw test_failed{words};
}

std::size_t allocated_bytes() {
  if (::mallctl != nullptr) {  // mallinfo2 knows glibc's memory alone
    std::uint64_t epoch = 1;
    std::size_t all = 0, size = sizeof all;
    ::mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
    ::mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch);
    return ::mallctl("stats.allocated", &all, &size, nullptr, 0) == 0 ? all : 0;
  }
  const auto m = ::mallinfo2();
  return m.uordblks + m.hblkhd;
}

}  // namespace cpns::conformance
