#include "actors/pn_gw/device.hpp"

#include <map>
#include <utility>

#include "actors/pn_gw/event_names.hpp"
#include "actors/system.hpp"
#include "base/log.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {
namespace {

using namespace protocol;

class pn_gw_device {
 public:
  pn_gw_device(device_actor::pointer self, device_parts parts)
      : self_(self), index_(parts.index), entity_(parts.record.entity), clock_(std::move(parts.clock)),
        dates_(std::move(parts.dates)), send_(std::move(parts.send)), store_(parts.store),
        uplink_(std::move(parts.uplink)), supervisor_(std::move(parts.supervisor)),
        machine_(std::move(parts.settings), std::move(parts.record), crypto::openssl_suite(),
                 crypto::system_entropy(), clock_(), dates_ ? dates_() : gw_dates{clock_()}) {
    carry_out();
  }

  void detected(const gw_detected& m) {
    m.waiting.take();
    began_ = clock_();
    addresses_[m.link] = m.address;
    machine_.note_location(m.transport, m.address);
    machine_.handle_detected(now(), m.link, m.dreq, m.drsp);
    carry_out();
  }
  void frame(const gw_frame& m) {
    m.waiting.take();
    machine_.handle_frame(now(), m.link, m.message);
    carry_out();
  }
  void link_lost(const gw_link_lost& m) {
    addresses_.erase(m.link);
    told_unneeded_ = false;  // while it had a link it was kept all the same
    machine_.handle_link_down(now(), m.link);
    carry_out();
  }
  void nonce(const gw_nonce& m) {
    machine_.handle_issuer_nonce(now(), m.nonce);
    carry_out();
  }
  void response(const gw_response& m) {
    machine_.handle_response(now(), m.id, *m.keys, m.incarnation);
    carry_out();
  }
  void refused(const gw_refusal& m) {
    machine_.handle_refusal(now(), m.id, m.refusal);
    carry_out();
  }
  void reported(const gw_report_outcome& m) {
    machine_.handle_report_outcome(now(), m.which, m.outcome);
    carry_out();
  }
  void server_ready() {
    machine_.handle_server_ready(clock_());
    carry_out();
  }
  void approval(bool yes) {
    machine_.handle_approval(now(), yes);
    carry_out();
  }
  void update() {
    machine_.handle_update_request(now());
    carry_out();
  }
  void settings(const gw_settings& m) {
    machine_.handle_settings(m.settings);
    carry_out();
  }
  void tick() {
    deadline_ = time_never;
    machine_.handle_timeout(now());
    carry_out();
  }
  void saved(const gw_saved& m) {
    if (m.number != writes_) return;
    saving_ = false;
    if (ending_) return self_->quit();
    if (!m.outcome) {
      log::error(gateway_component, "record-not-written", m.outcome.error().message(),
                 {{"entity", entity_.text()}});
      machine_.handle_persist_failed(now());
    }
    carry_out();
  }
  std::string describe() const {
    return describe_device(machine_.record(), name_of(machine_.state()),
                           machine_.state() == pn_gw_state::awaiting_approval, same_id_);
  }
  /// Everything that was sent before this has been heard: what is not in the record now is lost to nobody.
  void evict() {
    if (ending_) return;
    const bool gone = is_unneeded();
    self_->send(supervisor_, sup_evicted{index_, gone});
    told_unneeded_ = false;
    if (!gone) return carry_out();
    ending_ = true;
    supervisor_ = nullptr;
    uplink_ = nullptr;
    self_->quit();
  }
  /// Ends when the write that is under way is done with.
  void put_down() {
    ending_ = true;
    supervisor_ = nullptr;
    uplink_ = nullptr;
    if (!saving_) self_->quit();
  }

 private:
  /// In order; nothing that follows a write happens before it is durable.
  void carry_out() {
    while (!saving_ && !ending_) {
      auto output = machine_.poll_output();
      if (!output) break;
      std::visit([this](auto& o) { act(o); }, *output);
    }
    if (!supervisor_) return;
    if (const auto next = machine_.next_deadline(); next != deadline_) {
      deadline_ = next;
      self_->send(supervisor_, sup_deadline{index_, next});
    }
    const bool unneeded = is_unneeded();
    if (unneeded && !told_unneeded_) self_->send(supervisor_, sup_unneeded{index_, unneeded_as()});
    told_unneeded_ = unneeded;
  }
  [[nodiscard]] bool is_unneeded() const {
    return !saving_ && deadline_ == time_never && (keeps_nothing() || !owes_server(machine_.record()));
  }
  [[nodiscard]] sup_unneeded::kind_t unneeded_as() const {
    if (machine_.state() == pn_gw_state::awaiting_approval) return sup_unneeded::kind_t::awaits_person;
    return keeps_nothing() ? sup_unneeded::kind_t::nothing_kept : sup_unneeded::kind_t::away;
  }
  /// Whoever says any Entity ID must not stay in memory for it once the link is gone.
  [[nodiscard]] bool keeps_nothing() const {
    const auto& r = machine_.record();
    const auto state = machine_.state();
    if (state == pn_gw_state::rejected || state == pn_gw_state::revoked) return true;
    return (state == pn_gw_state::found || state == pn_gw_state::backing_off ||
            state == pn_gw_state::awaiting_approval) &&
           r.generation == 0;
  }

  time_point now() {
    const auto t = clock_();
    machine_.note_dates(t, dates_ ? dates_() : gw_dates{t});
    return t;
  }

  void act(gw_persist& o) {
    saving_ = true;
    store_->save(o.record, [me = device_actor{self_}, number = ++writes_](const status& outcome) {
      caf::anon_send(me, gw_saved{number, outcome});
    });
  }
  void act(gw_send& o) { send_(o.to.transport, o.to.link, o.message); }
  void act(gw_want_nonce&) { self_->send(uplink_, link_want_nonce{device_actor{self_}}); }
  void act(gw_request& o) {
    self_->send(uplink_, link_ask{device_actor{self_}, o.id,
                                  std::make_shared<const key_assignment_request>(std::move(o.body))});
  }
  void act(gw_report& o) { self_->send(uplink_, link_report{device_actor{self_}, entity_, o.which}); }
  void act(gw_ask_approval&) {}  // the event before it tells the person; `pnes list` shows who waits
  void act(gw_close_link& o) { self_->send(supervisor_, sup_close_link{o.link, std::move(o.why)}); }
  void act(gw_event& o) {
    const auto at = clock_();
    if (o.kind == gw_event::kind_t::detecting) began_ = at;
    if (o.kind == gw_event::kind_t::same_id) {
      same_id_ = addresses_[*o.other] + " and " + addresses_[*o.on];
      o.why = "two devices answer with this Entity ID, " + same_id_ +
              ": a copied image, or somebody who says its name; only the one that proves its key is served";
    }
    const auto& told = told_of(o.kind);
    if (!log::enabled(told.level, gateway_component)) return;
    log::write(told.level, gateway_component, told.id, o.why.empty() ? told.text : std::string_view{o.why},
               {{"entity", entity_.text()},
                {"epoch", o.which ? o.which->text() : std::string{}},
                {"step", std::string{told.step}},
                {"ms", std::to_string((at - began_).count())}});
  }

  device_actor::pointer self_;
  std::uint64_t index_;
  entity_id entity_;
  clock_fn clock_;
  std::function<gw_dates()> dates_;
  radio_send_fn send_;
  key_store* store_;
  server_link_actor uplink_;
  supervisor_actor supervisor_;
  pn_gw_machine machine_;
  std::map<gw_link, std::string> addresses_;  ///< of its links
  std::string same_id_;                       ///< the two that were seen last
  time_point deadline_ = time_never;
  time_point began_ = clock_();
  std::uint64_t writes_ = 0;
  bool saving_ = false;
  bool ending_ = false;
  bool told_unneeded_ = false;
};

}  // namespace

device_actor spawn_device(caf::actor_system& system, device_parts parts) {
  auto shared = std::make_shared<device_parts>(std::move(parts));
  return system.spawn([shared](device_actor::pointer self) -> device_actor::behavior_type {
    report_exceptions(self, "device/" + shared->record.entity.text());
    auto d = std::make_shared<pn_gw_device>(self, std::move(*shared));
    return {
        [d](const gw_detected& m) { d->detected(m); },
        [d](const gw_frame& m) { d->frame(m); },
        [d](const gw_link_lost& m) { d->link_lost(m); },
        [d](const gw_nonce& m) { d->nonce(m); },
        [d](const gw_response& m) { d->response(m); },
        [d](const gw_refusal& m) { d->refused(m); },
        [d](const gw_report_outcome& m) { d->reported(m); },
        [d](const gw_server_ready&) { d->server_ready(); },
        [d](const gw_approval& m) { d->approval(m.approved); },
        [d](const gw_update&) { d->update(); },
        [d](const gw_settings& m) { d->settings(m); },
        [d](const gw_saved& m) { d->saved(m); },
        [d](const gw_tick&) { d->tick(); },
        [d](const gw_describe&) { return d->describe(); },
        [d](const gw_evict&) { d->evict(); },
        [d](const gw_put_down&) { d->put_down(); },
    };
  });
}

}  // namespace cpns::actors
