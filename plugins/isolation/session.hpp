#pragma once
// One process of an isolated radio from its start to its end. Runs in the transport's thread.

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string_view>

#include "plugins/isolation/isolated_transport.hpp"
#include "plugins/isolation/link_book.hpp"
#include "plugins/isolation/process.hpp"

namespace cpns::plugins::isolation {

/// Component of the log lines.
inline constexpr std::string_view radio_component = "radio";

/// State shared by the callers of a transport and its thread.
struct shared_state {
  explicit shared_state(transport_role role);
  ~shared_state();
  shared_state(const shared_state&) = delete;
  shared_state& operator=(const shared_state&) = delete;

  /// Makes the thread check `out` and `closing`. Call it with `guard` held.
  void wake();
  /// Adds the current process's counters to the past ones, when it has ended. Call it with `guard` held.
  void keep_counters();
  /// Sums over all processes. Call it with `guard` held.
  [[nodiscard]] std::vector<named_counter> all_counters() const;
  /// The thread calls it when `wake_fd` is readable.
  void woken();

  const int wake_fd;
  std::mutex guard;
  // Protected by guard:
  link_book book;
  packets out;                               ///< to the current process
  std::vector<named_counter> past, present;  ///< of earlier processes, and of the current one
  bool accepting = false;                    ///< the plugin is open, so commands go to `out`
  bool closing = false;
  bool woken_ = false;
};

/// How a process ended.
struct session_end {
  open_error why;         ///< for the log; if the plugin refused to open, its error
  bool refused = false;   ///< the plugin did not open
  milliseconds lived{0};  ///< time with an open plugin
};

class session {
 public:
  /// `opened` is called once, when the plugin is open. All references must outlive run().
  session(shared_state& shared, const transport_spec& spec, const isolation_settings& settings,
          transport_listener& listener, std::function<void(const transport_info&)> opened);

  /// Returns when the process has ended. Its links are still in the book.
  session_end run();
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool hung() const { return hung_; }
  [[nodiscard]] bool broke_rule() const { return broke_rule_; }

 private:
  using clock = std::chrono::steady_clock;
  status begin();
  void wait();
  void read(int packets_most);
  void flush();
  void beat();
  void give_up(std::string why);
  void broken(std::string_view rule);
  void request_close();
  session_end finish(const std::string& how);
  [[nodiscard]] milliseconds uptime() const;

  void take(const report& r);
  void on(const opened_report& r);
  void on(const refused_report& r);
  void on(const up_report& r);
  void on(const down_report& r);
  void on(const message_report& r);
  void on(const found_report& r);
  void on(const connect_failed_report& r);
  void on(const failed_report& r);
  void on(const taken_report& r);
  void on(const call_failed_report& r);
  void on(const log_report& r);
  void on(const pong_report& r);
  void on(const woke_report& r);
  void on(const quality_report& r);
  void on(const counters_report& r);
  void order(const command& c);
  [[nodiscard]] log::level level_wanted() const;

  shared_state& shared_;
  const transport_spec& spec_;
  const isolation_settings& settings_;
  transport_listener& listener_;
  const std::function<void(const transport_info&)> opened_;
  std::string file_;
  std::optional<radio_process> process_;
  pid_t pid_ = -1;
  bytes unsent_;                          ///< a packet that the socket had no room for
  bytes buffer_ = bytes(packet_max + 1);  ///< of read()
  bool process_over_ = false, socket_over_ = false, closing_ = false;
  bool open_ = false, hung_ = false, broke_rule_ = false;
  std::string reason_;  ///< why it was killed or asked to close; empty: it was not
  std::optional<open_error> refusal_;
  std::optional<clock::time_point> end_by_, killed_at_;
  clock::time_point begun_, opened_at_, next_beat_;
  std::uint64_t ping_ = 0;
  bool ping_out_ = false;
  unsigned missed_ = 0;
  clock::time_point log_second_;
  unsigned log_lines_ = 0;
};

}  // namespace cpns::plugins::isolation
