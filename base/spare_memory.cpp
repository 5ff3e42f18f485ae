#include "base/spare_memory.hpp"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace cpns {
namespace {

milliseconds cpu_of_process() {
  rusage used{};
  (void)::getrusage(RUSAGE_SELF, &used);
  const auto of = [](const timeval& t) {
    return std::chrono::duration_cast<milliseconds>(seconds{t.tv_sec} + std::chrono::microseconds{t.tv_usec});
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

}  // namespace

std::size_t spare_memory::resident() {
  std::size_t all = 0, pages = 0;
  std::ifstream{"/proc/self/statm"} >> all >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void spare_memory::give_back() { (void)::malloc_trim(0); }

bool spare_memory::look() {
  const auto now = now_anchored();
  if (looked_ && now - *looked_ < looks_every) return false;
  if (!due(now, cpu_of_process(), resident())) return false;
  give_back();
  least_ = resident();
  return true;
}

bool spare_memory::due(time_point now, milliseconds cpu, std::size_t resident_bytes) {
  if (!looked_) {
    looked_ = now;
    cpu_ = cpu;
    least_ = resident_bytes;
    return false;
  }
  const auto passed = now - *looked_;
  if (passed < looks_every) return false;
  const bool idle =
      static_cast<double>((cpu - cpu_).count()) < idle_share * static_cast<double>(passed.count());
  looked_ = now;
  cpu_ = cpu;
  least_ = std::min(least_, resident_bytes);
  if (!idle || resident_bytes < least_ + worth_bytes) return false;
  least_ = resident_bytes;
  return true;
}

}  // namespace cpns
