#include "actors/pne/device.hpp"

#include <optional>
#include <utility>

#include "actors/system.hpp"
#include "base/log.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {
namespace {

using namespace protocol;

constexpr seconds write_again_after{1};  // between attempts after a failed write

class pne_device {
 public:
  pne_device(pne_actor::pointer self, pne_device_parts parts)
      : self_(self), index_(parts.index), entity_(parts.settings.entity.text()), keys_(std::move(parts.keys)),
        clock_(std::move(parts.clock)), send_(std::move(parts.send)), fleet_(std::move(parts.fleet)),
        counted_(parts.counted), machine_(std::move(parts.settings), std::move(parts.record),
                                          crypto::openssl_suite(), crypto::system_entropy(), clock_()) {
    count_state();
  }

  void link_up(const pne_link_up& m) { link_ = {m.transport, m.link}; }
  void link_down(const pne_link_down& m) {
    if (link_ == std::pair{m.transport, m.link}) link_.reset();
    machine_.handle_link_down(clock_(), {m.transport, m.link});
    apply();
  }
  void frame(const pne_frame& m) {
    m.waiting.take();
    link_ = {m.transport, m.link};
    if (!is_certain()) return;
    machine_.handle_frame(clock_(), {m.transport, m.link}, m.message);
    apply();
  }
  void tick() {
    deadline_ = time_never;
    machine_.handle_timeout(clock_());
    apply();
  }
  /// "" once it is done and durable, otherwise the error.
  std::string command(pne_command what) {
    const auto now = clock_();
    if (what == pne_command::factory_reset && !is_certain()) return "not done: " + trouble_;
    switch (what) {
    case pne_command::wake:
      machine_.handle_wake(now);
      self_->send(fleet_, fleet_wakes{index_, true});
      break;
    case pne_command::sleep: machine_.handle_sleep(now); break;
    case pne_command::button: machine_.handle_button(now); break;
    case pne_command::factory_reset: machine_.handle_factory_reset(now); break;
    }
    apply();
    // The machine's notice is sent before the device leaves the radio.
    if (what == pne_command::sleep) self_->send(fleet_, fleet_wakes{index_, false});
    if (what == pne_command::factory_reset && uncertain_) return "not known to be done: " + trouble_;
    log::info(pne_component, name_of(what), "command executed", {{"entity", entity_}});
    return {};
  }
  void shut_down() {
    fleet_ = nullptr;
    self_->quit();
  }

 private:
  static std::string_view name_of(pne_command what) {
    switch (what) {
    case pne_command::wake: return "wake";
    case pne_command::sleep: return "sleep";
    case pne_command::button: return "button";
    case pne_command::factory_reset: return "factory-reset";
    }
    return "command";
  }

  void count_state() {
    const auto now = machine_.state();
    if (std::exchange(counted_as_, now) != now) presence_ = metrics::presence{counted_.in_state(now)};
  }
  void apply() {
    while (auto output = machine_.poll_output()) std::visit([this](auto& o) { act(o); }, *output);
    count_state();
    if (const auto next = machine_.next_deadline(); next != deadline_) {
      deadline_ = next;
      self_->send(fleet_, fleet_deadline{index_, next});
    }
  }

  bool save(const pne_record& record) {
    const auto encoded = encode(record);
    const auto saved = keys_.save(encoded.expose());
    if (saved) return true;
    counted_.failed_writes.add();
    trouble_ = saved.error().message();
    log::error(pne_component, "key-file-not-written", trouble_, {{"entity", entity_}});
    return false;
  }
  /// After a failed write the file may hold the old record or the new one. The device stays silent until the
  /// record of the machine is written.
  bool is_certain() {
    if (!uncertain_) return true;
    const auto now = clock_();
    if (now < repair_not_before_) return false;
    repair_not_before_ = now + write_again_after;
    if (!save(machine_.record())) return false;
    uncertain_ = false;
    log::info(pne_component, "key-file-written", "the key file is written; the device answers again",
              {{"entity", entity_}});
    return true;
  }

  void act(pne_persist& o) {
    if (save(o.record)) return;
    uncertain_ = true;
    repair_not_before_ = clock_() + write_again_after;
    machine_.handle_persist_failed(clock_());
  }
  void act(pne_send& o) {
    if (link_) send_(link_->first, link_->second, o.message);
  }
  void act(pne_event& o) {
    counted_.happened(o.kind);
    const auto line = describe_event(o.kind);
    if (!log::enabled(line.level, pne_component)) return;
    log::write(line.level, pne_component, line.id, o.why.empty() ? line.text : std::string_view{o.why},
               {{"entity", entity_},
                {"epoch", o.which ? o.which->text() : std::string{}},
                {"step", std::string{line.step}}});
  }

  pne_actor::pointer self_;
  std::uint64_t index_;
  std::string entity_;
  storage::sealed_file keys_;
  clock_fn clock_;
  radio_send_fn send_;
  fleet_actor fleet_;
  pne_metrics counted_;
  std::optional<pne_state> counted_as_;
  metrics::presence presence_;  ///< in the state `counted_as_`
  pne_machine machine_;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> link_;
  time_point deadline_ = time_never;
  bool uncertain_ = false;  ///< the last write failed, but may be on the disk
  std::string trouble_;     ///< error of the last failed write
  time_point repair_not_before_{};
};

}  // namespace

result<protocol::pne_record> load_pne_record(const storage::sealed_file& keys) {
  CPNS_TRY(const auto kept, keys.load());
  if (!kept) return protocol::pne_record{};
  return protocol::decode_pne_record(kept->expose());
}

pne_actor spawn_pne_device(caf::actor_system& system, pne_device_parts parts) {
  auto shared = std::make_shared<pne_device_parts>(std::move(parts));
  return system.spawn([shared](pne_actor::pointer self) -> pne_actor::behavior_type {
    report_exceptions(self, "pne/" + shared->settings.entity.text());
    auto d = std::make_shared<pne_device>(self, std::move(*shared));
    return {
        [d](const pne_link_up& m) { d->link_up(m); },
        [d](const pne_link_down& m) { d->link_down(m); },
        [d](const pne_frame& m) { d->frame(m); },
        [d](const pne_do& m) { (void)d->command(m.what); },
        [d](const pne_order& m) { return d->command(m.what); },
        [d](const pne_tick&) { d->tick(); },
        [d](const pne_shut_down&) { d->shut_down(); },
    };
  });
}

}  // namespace cpns::actors
