#pragma once
// Hints by LISTEN and NOTIFY: a node that changed what the others have in memory asks them to look now.

#include <atomic>
#include <optional>
#include <thread>

#include "base/descriptor.hpp"
#include "storage/hint_board.hpp"
#include "storage/postgres/pool.hpp"
#include "storage/store.hpp"

namespace cpns::storage::postgres {

/// Nodes find changes by polling, which is a fact and takes half a second. A notification takes a millisecond, but it may
/// be lost with its connection, and within the transaction of a change it would take a lock of the whole server until the
/// standbys have the commit. So it is a transaction of its own after the commit, on one connection per node that does
/// nothing else, and says nothing but "look". If all hints are lost, changes count later, and nothing else changes. The
/// connection is made when it is first needed. Engines without LISTEN: after their first refusal nothing is sent for
/// `refused_pause`. [thread-safe]
class hints {
 public:
  static constexpr milliseconds gap{20};  ///< between two notifications; what is told meanwhile is one
  static constexpr milliseconds refused_pause{60'000};
  static constexpr std::string_view channel = "cpns_changes";

  /// Both outlive the object. With portable statements it does nothing.
  hints(const postgres_settings& s, dialer& hosts);
  /// Sends what was told, if the database answers in time.
  ~hints();
  hints(const hints&) = delete;
  hints& operator=(const hints&) = delete;

  /// A change was committed: the listeners of other nodes are called soon. Waits for nothing.
  void tell();
  /// As store::listen(). Also called after each new connection, since hints may have been missed.
  [[nodiscard]] std::shared_ptr<void> listen(const std::function<void()>& heard);
  /// As store::hints().
  [[nodiscard]] std::optional<hint_statistics> statistics() const;
  [[nodiscard]] hint_state state() const;

 private:
  using steady = connection::steady;
  void start();
  void run();
  outcome<void> begin_to_listen(connection& on);
  /// Until the connection ends or is not to be used any more. nullopt: the object ends.
  std::optional<failure> serve();
  outcome<void> notify(connection& on);
  outcome<void> hear(connection& on, steady::time_point until);
  void rest(milliseconds time);
  void wake() const;

  const postgres_settings& settings_;
  dialer& hosts_;
  const bool can_ = false;
  const std::string own_;  ///< payload, by which the object ignores its own notifications
  const descriptor wake_;
  hint_board board_;
  std::atomic<hint_state> hears_ = hint_state::away;
  std::atomic<bool> listens_ = false, told_ = false, stopping_ = false;
  std::atomic<std::uint64_t> notified_ = 0, heard_ = 0;
  steady::time_point sent_;
  std::mutex guard_;
  std::thread thread_;  ///< with guard_
};

}  // namespace cpns::storage::postgres
