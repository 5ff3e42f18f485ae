#pragma once
// A radio that an operator can close and open again while the role works.

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "plugins/host/transport.hpp"

namespace cpns::actors {

/// The parts of a role keep a pointer to their transport, and name links by the ids of its plugin, which begin again with
/// each instance. This object stays; behind it one instance of the plugin replaces another. Its links have ids of their
/// own, which are never used twice. For a central: endpoints are not presented again. [thread-safe]
class reopenable_radio final : public plugins::transport {
 public:
  /// Opens an instance that reports to the listener.
  using open_fn = std::function<result<std::unique_ptr<plugins::transport>>(plugins::transport_listener&)>;

  /// `to` gets the events of all instances. Errors of `open`.
  static result<std::unique_ptr<reopenable_radio>> start(const open_fn& open,
                                                         plugins::transport_listener& to);
  /// A radio that could not be opened, and is closed until reopen(). `plugin`: its name; `why`: for state().
  static std::unique_ptr<reopenable_radio> start_closed(std::string plugin, std::string why,
                                                        plugins::transport_listener& to);
  ~reopenable_radio() override;

  /// Closes the instance, reports its links as down, and opens another with `open`; it scans if the former one did. If
  /// that fails, opens one with `former` and returns the error of `open`, which says so. If that fails too, the radio
  /// stays closed until the next call. state_conflict while another call is under way. Blocks for some seconds.
  status reopen(const open_fn& open, const open_fn& former);

  [[nodiscard]] const plugins::transport_info& info() const override;
  [[nodiscard]] plugins::transport_state state() const override;
  status scan(bool on) override;
  status connect(std::string_view address) override;
  void cancel(std::string_view address) override;
  status add_endpoint(plugins::endpoint_id endpoint, std::string_view name) override;
  status remove_endpoint(plugins::endpoint_id endpoint) override;
  status send(plugins::link_id link, byte_view message) override;
  void disconnect(plugins::link_id link) override;
  status set_power(plugins::power_level p) override;
  void forget_pairing(std::string_view address) override;
  [[nodiscard]] plugins::link_quality quality(plugins::link_id link) const override;
  [[nodiscard]] std::vector<plugins::named_counter> counters() const override;
  void close() override;

 private:
  class instance;

  explicit reopenable_radio(plugins::transport_listener& to);
  [[nodiscard]] std::shared_ptr<instance> now() const;
  status open(const open_fn& open);
  void stay_closed(std::string why);
  plugins::link_id new_link();

  plugins::transport_listener& to_;
  std::mutex opening_;  ///< held by reopen() and close()
  mutable std::mutex guard_;
  // Guarded by guard_:
  std::shared_ptr<instance> now_;
  std::string why_closed_;  ///< empty: it is open, or being opened
  bool scanning_ = false, closed_ = false;
  mutable std::list<plugins::transport_info> infos_;  ///< kept, because callers hold references
  plugins::link_id last_link_ = 0;
};

}  // namespace cpns::actors
