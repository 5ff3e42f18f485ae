#pragma once
// One open instance of the plugin, called as the interface allows, and two of them that have met.

#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "plugins/conformance/recorder.hpp"

namespace cpns::conformance {

/// What open did, whatever it was.
struct opened {
  cpns_status status = CPNS_ERROR;
  const cpns_transport* transport = nullptr;
  bool out_untouched = true;
  std::string said;  ///< what the plugin logged
};
struct open_how {
  bool probe = false;
  std::uint32_t host_size = 0;  ///< 0: as it is
  std::uint32_t args_size = 0;
};
opened open_raw(bench& b, recorder& r, std::uint32_t role, const params& p, open_how how = {});

/// Closes and tells whether that took longer than it may ("close-returns"). Throws test_failed when it hangs.
void close_raw(bench& b, recorder& r, const cpns_transport& t);

inline constexpr cpns_role both_roles[] = {CPNS_ROLE_CENTRAL, CPNS_ROLE_PERIPHERAL};

/// An instance that opened. Calls are [any-thread] as far as the interface says so; each is watched for
/// exceptions and for its time. As in a host, a call that a callback makes after close has begun does not
/// reach the plugin: it answers with nothing, or CPNS_OK.
class instance {
 public:
  /// Throws test_failed if it does not open.
  instance(bench& b, cpns_role role, const params& p, open_how how = {});
  /// The same with a recorder that is used again.
  instance(bench& b, recorder& r, cpns_role role, const params& p, open_how how = {});
  ~instance();
  instance(const instance&) = delete;
  instance& operator=(const instance&) = delete;

  cpns_status scan(bool on);
  cpns_status add_endpoint(std::uint64_t endpoint);
  void remove_endpoint(std::uint64_t endpoint);
  cpns_status connect(const std::string& address);
  /// Nothing where the plugin has none.
  void cancel(const std::string& address);
  cpns_status send(std::uint64_t link, byte_view data);
  void disconnect(std::uint64_t link);
  const void* get_extension(const char* id);
  cpns_limits read_limits();
  void close();
  [[nodiscard]] bool is_open() const { return transport_ != nullptr; }
  [[nodiscard]] const cpns_transport* raw() const { return transport_; }

  /// Sends, and waits as long as the plugin says CPNS_WOULD_BLOCK. The last answer.
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

/// A central and a peripheral with parameters of one meeting.
class pair {
 public:
  explicit pair(bench& b, const params& over = {});
  /// Closes the peripheral first.
  ~pair();

  /// The central scans, endpoints `first` and up are presented; waits until their links are up on both sides.
  void bring_up(std::size_t count, std::uint64_t first = 1);
  /// `wanted` links, or as many as both declare.
  [[nodiscard]] std::size_t most(std::size_t wanted) const;
  /// Waits until so many links are up on both sides; throws test_failed with `what` otherwise.
  void wait_for_links(std::size_t count, const std::string& what);
  /// Both ends of an endpoint's link, found by a frame that is sent over it.
  ends ends_of(std::uint64_t endpoint);
  /// Waits, and connects to peers that were found meanwhile, as a gateway does.
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

/// A frame did not arrive: that breaks the word of a radio that declares itself reliable. Throws test_failed.
[[noreturn]] void lost(const instance& from, const std::string& words);

/// A frame that tells its number; `size` 4 and more for numbers over 255.
bytes numbered(std::uint32_t n, std::size_t size);
std::uint32_t number_of(byte_view frame);

}  // namespace cpns::conformance
