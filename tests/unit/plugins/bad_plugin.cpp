// Radios that a host must refuse or survive; a macro of the build selects the fault.

#include <dirent.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "plugins/abi/transport.h"

namespace {

/// Without a sanitizer's handler, which would end the process differently.
[[maybe_unused]] int crash() {
  std::signal(SIGSEGV, SIG_DFL);
  return std::raise(SIGSEGV);
}

/// "0=/dev/null 1=/dev/null ... blocked=0"; without the descriptors of the loader and of this function.
[[maybe_unused]] std::string what_it_has() {
  std::string out;
  auto* all = ::opendir("/proc/self/fd");
  while (const auto* one = all != nullptr ? ::readdir(all) : nullptr) {
    const std::string number{one->d_name};
    char target[256] = {};
    if (number.front() == '.' || std::atoi(number.c_str()) == ::dirfd(all)) continue;
    if (::readlinkat(::dirfd(all), one->d_name, target, sizeof target - 1) < 0) continue;
    const std::string file{target};
    if (!file.ends_with("shows_what_it_has.so")) out += number + "=" + file + " ";
  }
  if (all != nullptr) ::closedir(all);
  sigset_t mask{};
  ::sigprocmask(SIG_BLOCK, nullptr, &mask);
  return out + "alarm_blocked=" + std::to_string(::sigismember(&mask, SIGALRM));
}

[[maybe_unused]] const char* role_of(const cpns_open_args* args) {
  return args->role == CPNS_ROLE_CENTRAL ? "central" : "peripheral";
}

struct table : cpns_transport {
  std::uint32_t mtu = 100, max_links = 1;
};

void close_it(void* context) {
#if defined(BAD_hang_in_close)
  for (volatile bool on = true; on;) {
  }
#endif
  delete static_cast<table*>(context);
}

[[maybe_unused]] cpns_status open_it(const cpns_host* host, const cpns_open_args* args,
                                     const cpns_transport** out) {
#if defined(BAD_crash_in_open)
  crash();
#elif defined(BAD_abort_in_open)
  std::abort();
#elif defined(BAD_exit_in_open)
  std::_Exit(0);
#elif defined(BAD_loop_in_open)
  for (volatile bool on = true; on;) {
  }
#elif defined(BAD_eats_memory)
  for (std::vector<std::vector<char>> all;; ::poll(nullptr, 0, 2)) all.emplace_back(8u << 20, 'x');
#elif defined(BAD_no_reason)
  return CPNS_ERROR;
#elif defined(BAD_unavailable)
  host->log(host->context, CPNS_LOG_ERROR, "no adapter is plugged in");
  return CPNS_UNAVAILABLE;
#elif defined(BAD_shows_what_it_has)
  host->log(host->context, CPNS_LOG_ERROR, what_it_has().c_str());
  return CPNS_UNAVAILABLE;
#elif defined(BAD_no_table)
  return CPNS_OK;
#elif defined(BAD_prints)
  std::printf("700 this is not the outcome\n%s\n", role_of(args));
  std::fflush(stdout);
#endif
  static_cast<void>(host);
  static_cast<void>(args);
  auto* t = new table;
  t->size = sizeof(cpns_transport);
  t->reserved = 0;
  t->context = t;
#if defined(BAD_tiny_mtu)
  t->mtu = 5;
#elif defined(BAD_no_links)
  t->max_links = 0;
#endif
  t->get_limits = [](void* c, cpns_limits* l) {
    l->mtu = static_cast<table*>(c)->mtu;
    l->max_links = static_cast<table*>(c)->max_links;
  };
  t->scan = [](void*, bool) { return CPNS_OK; };
  t->add_endpoint = [](void*, std::uint64_t, const char*) { return CPNS_UNSUPPORTED; };
  t->remove_endpoint = [](void*, std::uint64_t) {};
  t->connect = [](void*, const char*) { return CPNS_UNSUPPORTED; };
  t->send = [](void*, std::uint64_t, const std::uint8_t*, std::size_t) { return CPNS_NO_LINK; };
#if defined(BAD_missing_function)
  t->send = nullptr;
#endif
  t->disconnect = [](void*, std::uint64_t) {};
  t->close = close_it;
  t->get_extension = [](void*, const char*) -> const void* { return nullptr; };
  *out = t;
  return CPNS_OK;
}

#if defined(BAD_crash_in_constructor)
const int crashed = crash();
#endif

}  // namespace

#if defined(BAD_missing_symbol)
extern "C" CPNS_EXPORT int cpns_some_other_symbol();
int cpns_some_other_symbol() { return open_it(nullptr, nullptr, nullptr); }
#else
extern "C" const cpns_transport_entry_t cpns_transport_entry = {
#if defined(BAD_small_entry)
    16,
#else
    sizeof(cpns_transport_entry_t),
#endif
#if defined(BAD_other_abi)
    CPNS_ABI_MAJOR + 1,
#else
    CPNS_ABI_MAJOR,
#endif
    CPNS_ABI_MINOR,
    0,
    "bad",
    "0.1",
    "A radio for tests",
#if defined(BAD_no_open)
    nullptr,
#else
    open_it,
#endif
    nullptr,
    0,
    0};
#endif
