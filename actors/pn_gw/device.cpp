#include "actors/pn_gw/device.hpp"

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "actors/pn_gw/device_records.hpp"
#include "actors/pn_gw/event_line.hpp"
#include "actors/pn_gw/open_answers.hpp"
#include "actors/pn_gw/operator_command.hpp"
#include "actors/pn_gw/unproven_links.hpp"
#include "actors/pn_gw/views.hpp"
#include "actors/system.hpp"
#include "base/log.hpp"

namespace cpns::actors {
namespace {

using namespace protocol;

constexpr seconds store_glance{1};  // interval at which a device checks the store after a failed write
constexpr std::size_t links_waiting_max = 16;  // links that wait for the store

class pn_gw_device {
 public:
  pn_gw_device(device_actor::pointer self, device_parts parts)
      : self_(self), index_(parts.index), name_(std::move(parts.name)), entity_(parts.record.entity),
        user_(parts.record.user), shared_(std::move(parts.shared)), uplink_(std::move(parts.uplink)),
        supervisor_(std::move(parts.supervisor)), settings_(std::move(parts.settings)), stored_(parts.stored),
        row_(parts.row), machine_(parts.rested ? machine_after_rest(*shared_, settings_, parts)
                                               : machine_of(*shared_, settings_, std::move(parts.record))),
        same_id_(std::move(parts.same_id)) {
    if (parts.rested)
      take_over(*parts.rested, parts.place.address);  // a message follows
    else
      apply();
  }

  /// An actor that dies in the middle of a message has told nobody of the events just before.
  ~pn_gw_device() {
    if (!news_.empty()) tell_history();
  }
  pn_gw_device(const pn_gw_device&) = delete;
  pn_gw_device& operator=(const pn_gw_device&) = delete;

  void detected(const gw_detected& m) {
    m.waiting.take();
    links_.push_back(m.link);
    unjudged_.push_back(m.link);
    addresses_[m.link] = m.address;
    if (is_certain())
      detected_now(m);
    else if (waiting_.size() < links_waiting_max)
      waiting_.push_back(m);
    else
      act(gw_close_link{m.link, "the store accepts no writes, and too many links wait for it"});
    apply();
  }
  void frame(const gw_frame& m) {
    m.waiting.take();
    if (m.link == proven_) heard_ = dates().wall;
    if (is_certain()) machine_.handle_frame(now(), m.link, m.message);
    apply();
  }
  void link_lost(const gw_link_lost& m) {
    addresses_.erase(m.link);
    if (m.link == proven_) proven_.reset();
    reported_unneeded_ = false;  // the supervisor ignores the report while there is a link
    std::erase(links_, m.link);
    std::erase(unjudged_, m.link);
    std::erase_if(waiting_, [&m](const gw_detected& d) { return d.link == m.link; });
    machine_.handle_link_down(now(), m.link);
    apply();
  }
  void nonce(const gw_nonce& m) {
    if (is_certain()) machine_.handle_issuer_nonce(now(), m.nonce);
    apply();
  }
  void response(const gw_response& m) {
    if (is_certain()) machine_.handle_response(now(), m.id, *m.keys, m.incarnation);
    apply();
  }
  void refused(const gw_refusal& m) {
    if (is_certain()) machine_.handle_refusal(now(), m.id, m.refusal);
    apply();
  }
  void reported(const gw_report_outcome& m) {
    if (is_certain()) {
      machine_.handle_report_outcome(now(), m.which, m.outcome);
      // After another outcome the record is written.
      if (m.outcome == report_outcome::ok && !machine_.record().to_report) store().report_answered(entity_);
    }
    apply();
  }
  void server_ready() {
    if (is_certain()) machine_.handle_server_ready(now());
    apply();
  }
  /// Answered when every resulting write is durable, or failed; for a quarantined device, when the server has decided.
  caf::result<std::string> decision(bool approved) {
    reported_unneeded_ = false;
    auto promise = self_->make_response_promise<std::string>();
    if (auto why =
            is_certain() ? approved ? why_not_approve(subject()) : why_not_reject(subject()) : no_writes();
        !why.empty()) {
      promise.deliver(std::move(why));
    } else {
      const bool released = approved && machine_.state() == pn_gw_state::quarantined;
      answers_.decision(promise, released);
      machine_.handle_approval(now(), approved);
    }
    apply();
    return promise;
  }
  std::string update() {
    reported_unneeded_ = false;
    auto why = is_certain() ? why_not_update(subject()) : no_writes();
    if (why.empty()) machine_.handle_update_request(now());
    apply();
    return why;
  }
  void settings(const gw_settings& m) {
    settings_ = m.settings;
    if (is_certain()) machine_.handle_settings(now(), settings_);  // otherwise go_on_from() does so
    apply();
  }
  caf::result<std::string> forget() {
    auto promise = self_->make_response_promise<std::string>();
    if (is_certain())
      answers_.forgetting(promise);
    else
      promise.deliver(no_writes());
    erase_record();
    apply();
    return promise;
  }
  void consumers_ready(const gw_consumers_ready& m) {
    if (is_certain()) machine_.handle_consumers_ready(now(), m.published);
    apply();
  }
  void tick() {
    deadline_ = time_never;
    if (is_certain()) machine_.handle_timeout(now());
    apply();
  }
  void saved(const gw_saved& m) {
    if (m.number != writes_) return;
    saving_ = false;
    if (std::exchange(erasing_, false)) return erased(m.outcome);
    if (m.outcome) {
      stored_ = true;
      row_ = store().written(row_);
    } else {
      machine_.handle_persist_failed(now());
      write_failed(m.outcome.error().message());
    }
    if (!ending_) return erase_record(), apply();
    answer("not known to be done: the gateway is stopping");
    self_->quit();
  }
  gw_view describe(bool in_full) const {
    auto out = describe_device(machine_.record(), name_of(machine_.state()),
                               machine_.state() == pn_gw_state::awaiting_approval, same_id_);
    if (!in_full) return {std::move(out)};
    if (const auto on = proven_ ? proven_ : links_.empty() ? std::nullopt : std::optional{links_.back()})
      if (const auto dbm = shared_->rssi(on->transport, on->link)) out["rssi_dbm"] = *dbm;
    describe_past(out, shared_->history->of(entity_.text()));
    return {std::move(out)};
  }
  /// All earlier messages were handled: if the actor is still unneeded, nobody needs its state outside of the
  /// record.
  void evict() {
    if (ending_) return;
    const bool gone = is_unneeded();
    if (gone) leave_tally();
    self_->send(supervisor_, sup_evicted{index_, gone});
    reported_unneeded_ = false;
    if (!gone) return apply();
    end();
  }
  /// All earlier messages were handled. If the actor still waits for nothing but its deadline, the supervisor has all of
  /// its state that is not in the record. Until that ends it, it answers questions.
  void rest() {
    if (ending_) return;
    auto rested = may_rest();
    const bool ends = rested.has_value();
    self_->send(supervisor_, sup_rested{index_, std::move(rested), same_id_});
    reported_rest_ = false;
    ends ? stop_working() : apply();
  }
  /// Ends when the pending write has completed.
  void shut_down() {
    answers_.released("not known to be done: the gateway is stopping");
    stop_working();
    if (!saving_) self_->quit();
  }

 private:
  void take_over(const gw_resting& rested, const std::string& address) {
    if (rested.link) {
      links_ = {*rested.link};
      addresses_[*rested.link] = address;
    }
    proven_ = rested.link;
    deadline_ = rested.next_deadline();  // the supervisor has it
    facts_ = facts_now();
  }
  /// What it needs to go on later, if it waits for nothing but its deadline.
  [[nodiscard]] std::optional<gw_resting> may_rest() const {
    if (saving_ || uncertain_ || ending_ || !stored_ || !waiting_.empty() || !answers_.none() ||
        links_.size() > 1)
      return std::nullopt;
    auto rested = machine_.rest(clock());
    // The machine forgets a link that it closes; the radio reports its end a moment later.
    if (rested && rested->link.has_value() == links_.empty()) return std::nullopt;
    return rested;
  }
  void detected_now(const gw_detected& m) {
    began_ = clock();
    machine_.handle_detected(now(), m.link, m.dreq, m.drsp, {m.transport, m.address});
  }

  [[nodiscard]] command_subject subject() const {
    return {machine_.state(), machine_.record().standing, !links_.empty(), settings_};
  }
  [[nodiscard]] std::string no_writes() const {
    return "not done: the store accepts no writes at present: " + store().health().why;
  }
  void write_failed(const std::string& why) {
    log::error(gateway_component, "record-not-written", why, {{"entity", entity_.text()}});
    news_.push_back({dates().wall, std::nullopt, 0, why});
    tell_history();
    uncertain_ = true;
    looks_again_ = clock() + store_glance;
    answer("not known to be done: " + why);
    answers_.forgotten("not known to be done: " + why);
  }

  [[nodiscard]] storage::commit_done when_written() {
    return [me = device_actor{self_}, number = ++writes_](const status& outcome) {
      caf::anon_send(me, gw_saved{number, outcome});
    };
  }
  /// After the pending write, if there is one.
  void erase_record() {
    if (saving_ || ending_ || !answers_.forgets()) return;
    saving_ = erasing_ = true;
    store().erase(entity_, when_written());
  }
  void erased(const status& outcome) {
    if (!outcome) {
      write_failed(outcome.error().message());
      return ending_ ? self_->quit() : apply();
    }
    stored_ = false;
    if (shared_->previous != nullptr) shared_->previous->forget(entity_);
    leave_tally();
    answer("not done: the PNE was forgotten");
    answers_.forgotten("");
    end();
  }

  /// A failed write may still be found when the store is opened again. Until that is known the machine gets no
  /// input; then the record is read again.
  bool is_certain() {
    if (!uncertain_) return true;
    looks_again_ = clock() + store_glance;
    if (saving_ || ending_ || !store().health().writable) return false;
    auto kept = store().read(entity_);
    if (!kept) {
      if (!std::exchange(logged_unreadable_, true))
        log::error(gateway_component, "record-unreadable", kept.error().message(),
                   {{"entity", entity_.text()}});
      return false;
    }
    uncertain_ = logged_unreadable_ = false;
    row_ = kept->row;
    device_record fresh;
    fresh.entity = entity_;
    fresh.user = user_;
    go_on_from(kept->record ? std::move(*kept->record) : std::move(fresh));
    return true;
  }
  void go_on_from(device_record stored) {
    const auto& held = machine_.record();
    stored.last_transport = held.last_transport;
    stored.last_address = held.last_address;
    if (!may_go_on(machine_, stored)) {
      log::info(gateway_component, "record-read-again",
                "a write failed: the device continues from the stored record", {{"entity", entity_.text()}});
      machine_ = machine_of(*shared_, settings_, std::move(stored));
      for (const auto& link : links_) act(gw_close_link{link, "the device continues from the stored record"});
      waiting_.clear();
    } else {
      machine_.handle_settings(now(), settings_);
    }
    for (const auto& m : std::exchange(waiting_, {})) detected_now(m);
  }
  void answer(const std::string& text) {
    answers_.decided(text);
    answers_.released(text);
  }
  /// No write is pending.
  void answer_decisions() {
    answers_.decided("");
    const auto state = machine_.state();
    if (state == pn_gw_state::requesting || state == pn_gw_state::recovering) return;  // the server decides
    answers_.released(state == pn_gw_state::quarantined ? why_quarantined_again(machine_.record()) : "");
  }

  /// Applies outputs in order; outputs after a write wait until it is durable.
  void apply() {
    while (!saving_ && !ending_) {
      auto output = machine_.poll_output();
      if (!output) break;
      std::visit([this](auto& o) { act(std::move(o)); }, *output);
    }
    if (!saving_ && machine_.state() != pn_gw_state::publishing) published_.reset();
    tell_history();
    if (!saving_) answer_decisions();
    if (!supervisor_) return;
    enter_tally();
    if (const auto next = uncertain_ ? looks_again_ : machine_.next_deadline(); next != deadline_) {
      deadline_ = next;
      self_->send(supervisor_, sup_deadline{index_, next});
    }
    if (!uncertain_ && !may_prove_links(machine_.state()))
      for (const auto& link : std::exchange(unjudged_, {})) self_->send(supervisor_, sup_link_judged{link});
    const bool unneeded = is_unneeded();
    if (unneeded && !reported_unneeded_) self_->send(supervisor_, sup_unneeded{index_, unneeded_as()});
    reported_unneeded_ = unneeded;
    const bool rests = may_rest().has_value();
    if (rests && !reported_rest_) self_->send(supervisor_, sup_may_rest{index_});
    reported_rest_ = rests;
  }
  [[nodiscard]] pne_facts facts_now() const {
    return facts_of(machine_.record(), name_of(machine_.state()), !links_.empty(), settings_.rekey_override);
  }
  void enter_tally() {
    const auto facts = facts_now();
    if (std::exchange(facts_, facts) != facts) shared_->tally->put(name_, facts);
  }
  void tell_history() {
    shared_->history->add(name_, news_, machine_.record().generation > 0, std::exchange(heard_, time_zero));
    news_.clear();
  }
  void stop_working() {
    ending_ = true;
    supervisor_ = nullptr;
    uplink_ = nullptr;
  }
  void end() {
    stop_working();
    self_->quit();
  }
  /// Before the supervisor may make another actor of this device.
  void leave_tally() {
    if (stored_)
      shared_->tally->put_stored(machine_.record(), settings_.rekey_override);
    else
      shared_->tally->erase(entity_.text());
  }
  [[nodiscard]] bool is_unneeded() const {
    return !saving_ && !uncertain_ && deadline_ == time_never &&
           (keeps_nothing() || !is_unfinished(machine_.record()));
  }
  [[nodiscard]] sup_unneeded::kind_t unneeded_as() const {
    if (machine_.state() == pn_gw_state::awaiting_approval) return sup_unneeded::kind_t::awaits_person;
    return keeps_nothing() ? sup_unneeded::kind_t::nothing_kept : sup_unneeded::kind_t::away;
  }
  [[nodiscard]] bool keeps_nothing() const { return is_of_no_use(machine_.state(), machine_.record()); }

  time_point now() {
    const auto t = clock();
    machine_.note_dates(t, dates());
    return t;
  }
  [[nodiscard]] time_point clock() const { return shared_->clock(); }
  [[nodiscard]] key_store& store() const { return *shared_->store; }
  [[nodiscard]] gw_dates dates() const { return dates_now(*shared_); }

  void act(gw_persist&& o) {
    saving_ = true;
    keep_retired(*shared_, o);
    store().save(*o.record, when_written(), row_);
  }
  void act(gw_publish&& o) {
    if (shared_->programs != nullptr)
      published_ = shared_->programs->wait_for(
          entity_, machine_.own_epoch().has_value(),
          [me = device_actor{self_}, which = o.which] { caf::anon_send(me, gw_consumers_ready{which}); });
    published_ ? machine_.handle_published(now(), o.which) : machine_.handle_consumers_ready(now(), o.which);
  }
  void act(gw_send&& o) { shared_->send(o.to.transport, o.to.link, o.message); }
  void act(gw_want_nonce&&) { self_->send(uplink_, link_want_nonce{device_actor{self_}, entity_}); }
  void act(gw_request&& o) {
    self_->send(uplink_, link_ask{device_actor{self_}, o.id,
                                  std::make_shared<const key_assignment_request>(std::move(o.body))});
  }
  void act(gw_report&& o) { self_->send(uplink_, link_report{device_actor{self_}, entity_, o.which}); }
  void act(gw_ask_approval&&) {}  // the preceding event notifies the operator
  void act(gw_close_link&& o) { self_->send(supervisor_, sup_close_link{o.link, std::move(o.why)}); }
  void act(gw_link_proven&& o) {
    proven_ = o.link;
    std::erase(unjudged_, o.link);
    self_->send(supervisor_, sup_link_proven{o.link});
  }
  void act(gw_event&& o) {
    if (o.kind == gw_event::kind_t::consumer_late) {
      o.why = published_ ? published_->give_up() : "";
      if (o.why.empty()) return;  // they have just acknowledged it
      o.why += " did not acknowledge the next key in time; the PNE gets it now";
    }
    const auto at = clock();
    shared_->counted->happened(o.kind);
    if (o.kind == gw_event::kind_t::detecting) began_ = at;
    if (o.kind == gw_event::kind_t::same_id) {
      same_id_ = addresses_[*o.other] + " and " + addresses_[*o.on];
      o.why = "two devices answer with this Entity ID, " + same_id_ +
              ": a copied image or an impostor; only the one that proves its key is served";
    }
    const auto wall = dates().wall;
    news_.push_back({wall, o.kind, o.which ? o.which->value() : 0, o.why, o.unproven});
    if (!o.unproven && proven_) heard_ = wall;
    write_event(*shared_->lines, o, entity_.text(), at, began_);
  }

  device_actor::pointer self_;
  std::uint64_t index_;
  shared_text name_;  ///< entity_
  entity_id entity_;
  user_id user_;
  std::shared_ptr<const shared_parts> shared_;
  server_link_actor uplink_;
  supervisor_actor supervisor_;
  pn_gw_settings settings_;
  pne_facts facts_{};  ///< as the tally has them
  bool stored_;        ///< the store has the record
  row_mark row_;       ///< of the stored record; not while uncertain_
  pn_gw_machine machine_;
  std::unique_ptr<consumers::wait> published_;  ///< while programs are waited for
  std::map<gw_link, std::string> addresses_;    ///< of its links
  std::string same_id_;                         ///< the two addresses seen last
  std::vector<gw_link> links_;                  ///< its open links
  std::vector<gw_link> unjudged_;               ///< unproven ones whose exchange is not over
  std::vector<gw_detected> waiting_;            ///< detections deferred while uncertain_
  std::optional<gw_link> proven_;               ///< the link on which a tag verified last
  std::vector<pne_history::event> news_;        ///< not in the history yet
  time_point heard_ = time_zero;                ///< the last contact that is not there yet
  open_answers answers_;
  time_point looks_again_ = time_never;  ///< while uncertain_
  time_point deadline_ = time_never;
  time_point began_ = clock();
  std::uint64_t writes_ = 0;
  bool saving_ = false;
  bool erasing_ = false;    ///< the pending write erases the record
  bool uncertain_ = false;  ///< the last write failed, but may be in the store
  bool logged_unreadable_ = false, ending_ = false;
  bool reported_unneeded_ = false, reported_rest_ = false;
};

}  // namespace

device_actor spawn_device(caf::actor_system& system, device_parts parts) {
  auto given = std::make_shared<device_parts>(std::move(parts));
  return system.spawn([given](device_actor::pointer self) -> device_actor::behavior_type {
    report_exceptions(self, "device/" + given->record.entity.text());
    std::shared_ptr<pn_gw_device> d;
    if (const auto read = given->rested ? read_record(*given) : status{}; !read) {
      self->send(given->supervisor, sup_unreadable{given->index, may_be_read_later(read.error())});
      self->quit();  // no message is handled
    } else {
      d = std::make_shared<pn_gw_device>(self, std::move(*given));
    }
    return {
        [d](const gw_detected& m) { d->detected(m); },
        [d](const gw_frame& m) { d->frame(m); },
        [d](const gw_link_lost& m) { d->link_lost(m); },
        [d](const gw_nonce& m) { d->nonce(m); },
        [d](const gw_response& m) { d->response(m); },
        [d](const gw_refusal& m) { d->refused(m); },
        [d](const gw_report_outcome& m) { d->reported(m); },
        [d](const gw_server_ready&) { d->server_ready(); },
        [d](const gw_update&) { return d->update(); },
        [d](const gw_settings& m) { d->settings(m); },
        [d](const gw_saved& m) { d->saved(m); },
        [d](const gw_consumers_ready& m) { d->consumers_ready(m); },
        [d](const gw_tick&) { d->tick(); },
        [d](const gw_describe& m) { return d->describe(m.in_full); },
        [d](const gw_decision& m) { return d->decision(m.approved); },
        [d](const gw_forget&) { return d->forget(); },
        [d](const gw_evict&) { d->evict(); },
        [d](const gw_rest&) { d->rest(); },
        [d](const gw_shut_down&) { d->shut_down(); },
    };
  });
}

}  // namespace cpns::actors
