#pragma once
// A name whose lookup takes as long as a test wants: no name server of a test can be made to hang. Include it once per
// program, because it takes the place of getaddrinfo.

#include <dlfcn.h>
#include <netdb.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string_view>

namespace cpns::slow_resolver {

inline constexpr std::string_view slow_host = "slow.invalid";

struct state {
  std::mutex guard;
  std::condition_variable changed;
  bool hold = false;
  int held = 0;  ///< threads
};
inline state& now() {
  static state s;
  return s;
}

/// True: lookups of slow_host wait until hold(false); false: it does not exist.
inline void hold(bool on) {
  const std::lock_guard lock{now().guard};
  now().hold = on;
  now().changed.notify_all();
}
inline bool held() {
  const std::lock_guard lock{now().guard};
  return now().held > 0;
}
inline bool wait_until_held() {
  std::unique_lock lock{now().guard};
  return now().changed.wait_for(lock, std::chrono::seconds{20}, [] { return now().held > 0; });
}
inline void pass() {
  std::unique_lock lock{now().guard};
  ++now().held;
  now().changed.notify_all();
  now().changed.wait(lock, [] { return !now().hold; });
  --now().held;
}

}  // namespace cpns::slow_resolver

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
  if (name != nullptr && name == cpns::slow_resolver::slow_host) {
    cpns::slow_resolver::pass();
    return EAI_NONAME;
  }
  using function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(name, service, hints, found);
}
