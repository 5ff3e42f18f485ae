#include "actors/pne/device.hpp"

#include <deque>
#include <functional>
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
      : self_(self), index_(parts.index), device_(parts.settings.entity), entity_(device_.text()),
        keys_(std::move(parts.keys)), clock_(std::move(parts.clock)), send_(std::move(parts.send)),
        fleet_(std::move(parts.fleet)), counted_(parts.counted), previous_(parts.previous),
        machine_(std::move(parts.settings), std::move(parts.record), crypto::openssl_suite(),
                 crypto::system_entropy(), clock_()) {
    count_state();
  }

  void on(const pne_link_up& m) {
    if (!later(m)) link_ = {m.transport, m.link};
  }
  void on(const pne_link_down& m) {
    if (later(m)) return;
    if (link_ == std::pair{m.transport, m.link}) link_.reset();
    machine_.handle_link_down(clock_(), {m.transport, m.link});
    apply();
  }
  void on(const pne_frame& m) {
    if (later(m) || after_repair(m)) return;
    m.waiting.take();
    link_ = {m.transport, m.link};
    if (uncertain_) return;
    machine_.handle_frame(clock_(), {m.transport, m.link}, m.message);
    apply();
  }
  void on(const pne_tick& m) {
    if (later(m)) return;
    deadline_ = time_never;
    machine_.handle_timeout(clock_());
    apply();
  }
  void on(const pne_do& m) { on(ordered{m.what, {}}); }
  /// Answered with "" once it is done and durable, otherwise with the error.
  caf::result<std::string> order(const pne_order& m) {
    auto promise = self_->make_response_promise<std::string>();
    on(ordered{m.what, promise});
    return promise;
  }
  void saved(const pne_saved& m) {
    saving_ = false;
    if (ending_) return self_->quit();
    if (std::exchange(repairing_, false))
      repaired(m.outcome);
    else if (!m.outcome)
      write_failed(m.outcome.error());
    apply();
    while (!saving_ && !later_.empty()) {
      const auto input = std::move(later_.front());
      later_.pop_front();
      input();
    }
  }
  /// Ends when the pending write has completed.
  void shut_down() {
    fleet_ = nullptr;
    later_.clear();
    ending_ = true;
    if (!saving_) self_->quit();
  }

 private:
  struct ordered {
    pne_command what;
    std::optional<caf::typed_response_promise<std::string>> answer;
  };

  /// Inputs wait while a write is pending, so that an answer goes to the link that it is for.
  template <class Input>
  bool later(const Input& input) {
    if (saving_ && !ending_) later_.push_back([this, input] { on(input); });
    return saving_ || ending_;
  }
  /// After a failed write the disk may hold the old record or the new one. The device stays silent until the record of
  /// the machine is durable.
  template <class Input>
  bool after_repair(const Input& input) {
    if (!uncertain_ || clock_() < repair_not_before_) return false;
    repairing_ = true;
    save(machine_.record());
    later_.push_front([this, input] { on(input); });
    return true;
  }

  void on(const ordered& m) {
    const bool resets = m.what == pne_command::factory_reset;
    if (later(m) || (resets && after_repair(m))) return;
    if (resets && uncertain_) return answer(m, "not done: " + trouble_);
    const auto now = clock_();
    switch (m.what) {
    case pne_command::wake:
      machine_.handle_wake(now);
      self_->send(fleet_, fleet_wakes{index_, true});
      break;
    case pne_command::sleep: machine_.handle_sleep(now); break;
    case pne_command::button: machine_.handle_button(now); break;
    case pne_command::factory_reset: machine_.handle_factory_reset(now); break;
    }
    executing_ = m;
    apply();
  }
  void executed(const ordered& m) {
    // The machine's notice is sent before the device leaves the radio.
    if (m.what == pne_command::sleep) self_->send(fleet_, fleet_wakes{index_, false});
    if (m.what == pne_command::factory_reset && uncertain_)
      return answer(m, "not known to be done: " + trouble_);
    log::info(pne_component, name_of(m.what), "command executed", {{"entity", entity_}});
    answer(m, {});
  }
  static void answer(ordered m, const std::string& text) {
    if (m.answer) m.answer->deliver(text);
  }
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
  /// Applies outputs in order; outputs after a write wait until it is durable.
  void apply() {
    while (!saving_) {
      auto output = machine_.poll_output();
      if (!output) break;
      std::visit([this](auto& o) { act(o); }, *output);
    }
    count_state();
    if (saving_) return;
    if (const auto m = std::exchange(executing_, std::nullopt)) executed(*m);
    if (const auto next = machine_.next_deadline(); next != deadline_) {
      deadline_ = next;
      self_->send(fleet_, fleet_deadline{index_, next});
    }
  }

  void save(const pne_record& record) {
    saving_ = true;
    keys_->save(record,
                [me = pne_actor{self_}](const status& outcome) { caf::anon_send(me, pne_saved{outcome}); });
  }
  void note_failure(const error& why) {
    counted_.failed_writes.add();
    trouble_ = why.message();
    repair_not_before_ = clock_() + write_again_after;
    log::error(pne_component, "key-file-not-written", trouble_, {{"entity", entity_}});
  }
  void write_failed(const error& why) {
    note_failure(why);
    uncertain_ = true;
    machine_.handle_persist_failed(clock_());
  }
  void repaired(const status& outcome) {
    if (!outcome) return note_failure(outcome.error());
    uncertain_ = false;
    log::info(pne_component, "key-file-written", "the keys are written; the device answers again",
              {{"entity", entity_}});
  }

  void act(pne_persist& o) {
    if (previous_ != nullptr) {
      if (o.retired) previous_->keep(device_, o.retired->which, o.retired->eukey, o.record.current->which);
      if (o.record.highest() == nullptr) previous_->forget(device_);
    }
    save(o.record);
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
  entity_id device_;
  std::string entity_;  ///< the text of device_
  std::shared_ptr<device_keys> keys_;
  clock_fn clock_;
  radio_send_fn send_;
  fleet_actor fleet_;
  pne_metrics counted_;
  previous_keys* previous_;
  std::optional<pne_state> counted_as_;
  metrics::presence presence_;  ///< in the state `counted_as_`
  pne_machine machine_;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> link_;
  time_point deadline_ = time_never;
  bool uncertain_ = false;  ///< the last write failed, but may be on the disk
  std::string trouble_;     ///< error of the last failed write
  time_point repair_not_before_{};
  bool saving_ = false;
  bool repairing_ = false;  ///< the pending write is that of after_repair()
  bool ending_ = false;
  std::deque<std::function<void()>> later_;  ///< inputs that came during the pending write
  std::optional<ordered> executing_;         ///< the command whose outputs are applied
};

}  // namespace

pne_actor spawn_pne_device(caf::actor_system& system, pne_device_parts parts) {
  auto shared = std::make_shared<pne_device_parts>(std::move(parts));
  return system.spawn([shared](pne_actor::pointer self) -> pne_actor::behavior_type {
    report_exceptions(self, "pne/" + shared->settings.entity.text());
    auto d = std::make_shared<pne_device>(self, std::move(*shared));
    return {
        [d](const pne_link_up& m) { d->on(m); },         [d](const pne_link_down& m) { d->on(m); },
        [d](const pne_frame& m) { d->on(m); },           [d](const pne_do& m) { d->on(m); },
        [d](const pne_order& m) { return d->order(m); }, [d](const pne_tick& m) { d->on(m); },
        [d](const pne_saved& m) { d->saved(m); },        [d](const pne_shut_down&) { d->shut_down(); },
    };
  });
}

}  // namespace cpns::actors
