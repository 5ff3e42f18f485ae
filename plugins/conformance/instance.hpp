#pragma once
// Drives open instances of the plugin by the rules of the interface: one instance, and a pair of both roles.

#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "plugins/conformance/recorder.hpp"

namespace cpns::conformance {

/// Result of open, successful or not.
struct opened {
  cpns_status status = CPNS_ERROR;
  const cpns_transport* transport = nullptr;
  bool out_untouched = true;
  std::string logged;  ///< the plugin's warnings and errors
};
struct open_how {
  bool probe = false;
  std::uint32_t host_size = 0;  ///< size in the host's table; 0: the real one
  std::uint32_t args_size = 0;  ///< the same of the arguments
};
opened open_raw(bench& b, recorder& r, std::uint32_t role, const params& p, open_how how = {});

/// Closes; notes a breach ("close-returns") and throws test_failed if it hangs.
void close_raw(bench& b, recorder& r, const cpns_transport& t);

inline constexpr cpns_role both_roles[] = {CPNS_ROLE_CENTRAL, CPNS_ROLE_PERIPHERAL};

/// An open instance. Calls are [any-thread] where the interface allows it; each is checked for exceptions and its
/// duration. As in a host, calls that a callback makes after close has begun do not reach the plugin: they return
/// a default value (CPNS_OK).
class instance {
 public:
  /// Throws test_failed if it does not open.
  instance(bench& b, cpns_role role, const params& p, open_how how = {});
  /// The same with an existing recorder.
  instance(bench& b, recorder& r, cpns_role role, const params& p, open_how how = {});
  ~instance();
  instance(const instance&) = delete;
  instance& operator=(const instance&) = delete;

  cpns_status scan(bool on);
  cpns_status add_endpoint(std::uint64_t endpoint);
  void remove_endpoint(std::uint64_t endpoint);
  cpns_status connect(const std::string& address);
  /// No effect if the plugin lacks it.
  void cancel(const std::string& address);
  cpns_status send(std::uint64_t link, byte_view data);
  void disconnect(std::uint64_t link);
  const void* get_extension(const char* id);
  cpns_limits read_limits();
  void close();
  [[nodiscard]] bool is_open() const { return transport_ != nullptr; }
  [[nodiscard]] const cpns_transport* raw() const { return transport_; }

  /// Sends, and repeats while the plugin returns CPNS_WOULD_BLOCK. Returns the last status.
  cpns_status send_until_taken(std::uint64_t link, byte_view data);

  [[nodiscard]] bool reliable() const { return (limits.traits & CPNS_TRAIT_RELIABLE) != 0; }
  [[nodiscard]] bool ordered() const { return (limits.traits & CPNS_TRAIT_ORDERED) != 0; }
  [[nodiscard]] std::uint32_t mtu() const { return limits.mtu; }

  bench& in;
  const cpns_role role;
  recorder& heard;
  cpns_limits limits{};

 private:
  template <class Call>
  auto watched(const char* step, Call call) -> decltype(call(std::declval<const cpns_transport&>()));
  std::atomic<const cpns_transport*> transport_{nullptr};
};

/// Both sides of one link.
struct ends {
  std::uint64_t central = 0, peripheral = 0;
};

/// A central and a peripheral with parameters by which they find each other.
class pair {
 public:
  explicit pair(bench& b, const params& over = {});
  /// Closes the peripheral first.
  ~pair();

  /// Scans, presents `count` endpoints from `first` on, and waits until their links are up on both sides.
  void bring_up(std::size_t count, std::uint64_t first = 1);
  /// The smaller of `wanted` and the declared limits.
  [[nodiscard]] std::size_t most(std::size_t wanted) const;
  /// Waits until exactly `count` links are up on both sides; throws test_failed with `what` otherwise.
  void wait_for_links(std::size_t count, const std::string& what);
  /// Both ends of an endpoint's link, identified by a frame sent over it.
  ends ends_of(std::uint64_t endpoint);
  /// Waits until `holds()`, and meanwhile connects to peers that are found, as a gateway does.
  template <class Holds>
  bool wait(Holds holds, std::chrono::milliseconds limit = timeout) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > until) return false;
      connect_to_found();
      glance();
    }
    return true;
  }
  void connect_to_found();

  bench& in;
  const meeting met;
  instance central, peripheral;

 private:
  void glance();
};

/// A frame did not arrive: notes a breach if the radio declares itself reliable, and throws test_failed.
[[noreturn]] void frame_lost(const instance& from, const std::string& words);

/// A frame that contains its number; numbers above 255 need a `size` of at least 4.
bytes numbered(std::uint32_t n, std::size_t size);
std::uint32_t number_of(byte_view frame);

}  // namespace cpns::conformance
