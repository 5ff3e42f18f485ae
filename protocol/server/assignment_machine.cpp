#include "protocol/server/assignment_machine.hpp"

#include <utility>
#include <vector>

#include "base/log.hpp"
#include "protocol/codec.hpp"
#include "protocol/server/assignment_rules.hpp"

namespace cpns::protocol {
namespace {

using detail::evidence;
using trigger = assignment_trigger;

/// The current request, from its arrival to the decision.
struct pending_request {
  std::shared_ptr<const received_request> asked;
  std::optional<evidence> shown;
  int conflicts = 0;
};
/// It passes several states.
using pending_ptr = std::unique_ptr<pending_request>;

// The data of each state; leaving a state wipes it.
struct in_idle {};
struct in_authenticating {
  pending_ptr pending;
};
struct in_fetching {
  pending_ptr pending;
};
struct in_storing {
  std::shared_ptr<const entity_record> next;
  std::vector<assignment_event> events;      ///< emitted when the record is durable; of a report or a release
  std::shared_ptr<detail::granted> granted;  ///< holds `next`; null: a report or a release
  pending_ptr request;                       ///< of the grant; to be decided again after a conflict
};
struct in_answered {};
using state_data = std::variant<in_idle, in_authenticating, in_fetching, in_storing, in_answered>;

/// The outputs that were not polled yet, in memory that is used again.
class output_queue {
 public:
  void push(assignment_output o) { all_.push_back(std::move(o)); }
  [[nodiscard]] bool empty() const { return taken_ == all_.size(); }
  assignment_output pop() {
    auto out = std::move(all_[taken_]);
    if (++taken_ == all_.size()) clear();
    return out;
  }
  void clear() {
    all_.clear();
    taken_ = 0;
  }
  void drop_persist() {
    all_.erase(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(taken_));
    taken_ = 0;
    std::erase_if(all_,
                  [](const assignment_output& o) { return std::holds_alternative<assignment_persist>(o); });
  }

 private:
  std::vector<assignment_output> all_;
  std::size_t taken_ = 0;
};

}  // namespace

struct assignment_machine::impl {
  assignment_settings settings;
  std::shared_ptr<const entity_record> stored;
  const crypto::suite& s;
  entropy& random;
  proof_check proof;
  state_data data;
  output_queue outputs;

  impl(assignment_settings set, entity_record record, const crypto::suite& suite, entropy& source)
      : settings(std::move(set)), stored(std::make_shared<const entity_record>(std::move(record))), s(suite),
        random(source), proof(suite, settings.issuer_key) {}

  [[nodiscard]] assignment_state state() const { return static_cast<assignment_state>(data.index()); }

  /// The only writer of the state. False: the table does not accept the trigger here, and nothing changed.
  bool fire(trigger t, state_data to) {
    const auto& row = fsm::find(assignment_table, state(), t);
    if (row.what != fsm::verdict::accept) {
      emit("assignment-rejected", fsm::refusal_text(row));
      return false;
    }
    if (log::enabled(log::level::debug, "assignment"))
      log::debug("assignment", "assignment-state", "state changed",
                 {{"entity", stored->entity.text()},
                  {"from", name_of(row.from)},
                  {"to", name_of(row.to)},
                  {"trigger", name_of(t)}});
    data = std::move(to);
    return true;
  }

  void emit(std::string_view id, std::string text) { outputs.push(assignment_event{id, std::move(text)}); }
  void emit_all(std::vector<assignment_event>& events) {
    for (auto& e : events) outputs.push(std::move(e));
  }
  void answer(const request_id& id, std::variant<assigned_keys, refusal> body) {
    outputs.push(assignment_answer{id, std::move(body)});
  }
  void refuse(trigger t, const request_id& id, refused no) {
    if (!fire(t, in_answered{})) return;
    emit(no.event, std::move(no.why));
    answer(id, std::move(no.answer));
  }

  [[nodiscard]] bool accepts(trigger t) const {
    return fsm::find(assignment_table, state(), t).what == fsm::verdict::accept;
  }

  void handle_request(std::shared_ptr<const received_request> asked);
  void handle_user(const result<std::optional<user_record>>& user);
  void handle_device(time_point now, const result<std::optional<device_secret_record>>& device);
  void grant(pending_ptr p, std::shared_ptr<detail::granted> g);
  void store_change(trigger t, std::shared_ptr<const entity_record> next, assignment_event said);
  bool stored_now();
};

// Step 4.
void assignment_machine::impl::handle_request(std::shared_ptr<const received_request> asked) {
  const auto& id = asked->id;
  if (!accepts(trigger::request_received)) {
    emit("assignment-rejected", "a request arrived during another one");
    answer(id, refusal{link_status::overloaded, detail::retry_overloaded,
                       "another request for this device is pending"});
    return;
  }
  if (asked->request.entity != stored->entity)
    return refuse(trigger::request_malformed, id,
                  detail::refuse(link_status::internal, detail::retry_overloaded, "internal error",
                                 "wrong-entity", "the request is for another entity than this machine's"));
  auto shown = detail::read_evidence(s, asked->request);
  if (!shown)
    return refuse(trigger::request_malformed, id,
                  detail::refuse(link_status::bad_request, 0, "the exchange in the request is not consistent",
                                 "bad-request", shown.error().message()));
  auto p = std::make_unique<pending_request>(pending_request{asked, *std::move(shown)});
  if (fire(trigger::request_received, in_authenticating{std::move(p)}))
    outputs.push(assignment_fetch_user{std::move(asked)});
}

// Step 5.
void assignment_machine::impl::handle_user(const result<std::optional<user_record>>& user) {
  auto* in = std::get_if<in_authenticating>(&data);
  if (in == nullptr) return emit("assignment-rejected", "unexpected user record");
  auto p = std::move(in->pending);
  if (!user) return refuse(trigger::user_refused, p->asked->id, unreadable(user.error(), "the user"));
  if (auto no = proof(*p->asked, *user)) return refuse(trigger::user_refused, p->asked->id, *std::move(no));
  if (fire(trigger::user_verified, in_fetching{std::move(p)})) outputs.push(assignment_fetch_device{});
}

// Steps 6 and 7.
void assignment_machine::impl::handle_device(time_point now,
                                             const result<std::optional<device_secret_record>>& device) {
  auto* in = std::get_if<in_fetching>(&data);
  if (in == nullptr) return emit("assignment-rejected", "unexpected device record");
  auto p = std::move(in->pending);
  const auto& asked = *p->asked;
  if (!device && is_damage(device.error()))
    return refuse(trigger::request_refused, asked.id, unreadable(device.error(), "the device"));
  if (!device)
    return refuse(trigger::request_refused, asked.id,
                  detail::refuse(link_status::temporary_key_unavailable, detail::retry_temporary_key,
                                 "the device's Temporary Key is unavailable at present",
                                 "temporary-key-unavailable", device.error().message()));
  if (!*device || (*device)->entity != asked.request.entity)
    return refuse(trigger::request_refused, asked.id, unknown_entity());
  auto decided = detail::decide({settings, s, random, now, asked.from->gw, asked.from->uri, asked.id,
                                 asked.request, asked.content_hash, p->shown, **device, *stored});
  if (auto* no = std::get_if<refused>(&decided))
    return refuse(trigger::request_refused, asked.id, std::move(*no));
  grant(std::move(p), std::get<std::shared_ptr<detail::granted>>(std::move(decided)));
}

void assignment_machine::impl::grant(pending_ptr p, std::shared_ptr<detail::granted> g) {
  if (g->repeated) {
    emit_all(g->events);
    if (fire(trigger::keys_repeated, in_answered{})) answer(p->asked->id, std::move(g->keys));
    return;
  }
  std::shared_ptr<const entity_record> next{g, &g->next};
  if (fire(trigger::keys_granted, in_storing{next, {}, std::move(g), std::move(p)}))
    outputs.push(assignment_persist{std::move(next)});
}

/// A change that is not an answer to a request.
void assignment_machine::impl::store_change(trigger t, std::shared_ptr<const entity_record> next,
                                            assignment_event said) {
  in_storing change{next, {}, nullptr, nullptr};
  change.events.push_back(std::move(said));
  if (fire(t, std::move(change))) outputs.push(assignment_persist{std::move(next)});
}

/// Step 8. The driver polled past a persist, so it is durable.
bool assignment_machine::impl::stored_now() {
  auto* in = std::get_if<in_storing>(&data);
  if (in == nullptr) return false;
  const auto change = std::move(*in);
  stored = change.next;
  if (!change.granted) {
    for (const auto& e : change.events) outputs.push(e);
    return fire(trigger::report_stored, in_idle{});
  }
  emit_all(change.granted->events);
  const bool done = fire(trigger::stored, in_answered{});
  answer(change.request->asked->id, std::move(change.granted->keys));
  return done;
}

assignment_machine::assignment_machine(assignment_settings settings, entity_record record,
                                       const crypto::suite& s, entropy& random)
    : impl_(std::make_unique<impl>(std::move(settings), std::move(record), s, random)) {}
assignment_machine::~assignment_machine() = default;
assignment_machine::assignment_machine(assignment_machine&&) noexcept = default;
assignment_machine& assignment_machine::operator=(assignment_machine&&) noexcept = default;

void assignment_machine::load(entity_record record) {
  impl_->stored = std::make_shared<const entity_record>(std::move(record));
}
void assignment_machine::handle_request(time_point, std::shared_ptr<const received_request> asked) {
  impl_->handle_request(std::move(asked));
}
void assignment_machine::handle_user(time_point, const result<std::optional<user_record>>& user) {
  impl_->handle_user(user);
}
void assignment_machine::handle_device(time_point now,
                                       const result<std::optional<device_secret_record>>& device) {
  impl_->handle_device(now, device);
}

report_outcome assignment_machine::handle_report(time_point now, const gateway_id& gw, epoch reported) {
  impl& m = *impl_;
  if (!m.accepts(trigger::report_received)) {
    m.emit("assignment-rejected", "a report arrived during a request");
    return report_outcome::resync;
  }
  auto d = detail::decide_report(*m.stored, m.settings, now, gw, reported);
  if (d.next)
    m.store_change(trigger::report_received, std::make_shared<const entity_record>(*std::move(d.next)),
                   std::move(d.event));
  else
    m.outputs.push(std::move(d.event));
  return d.outcome;
}

bool assignment_machine::handle_release(time_point, const std::optional<gateway_id>& only_from) {
  impl& m = *impl_;
  if (!m.accepts(trigger::release_received)) {
    m.emit("assignment-rejected", "a release arrived during a request");
    return false;
  }
  if (!m.stored->holder || (only_from && m.stored->holder != only_from)) return false;
  auto next = std::make_shared<entity_record>(*m.stored);
  release_holder(*next);
  m.store_change(trigger::release_received, std::move(next),
                 {"released", "an operator took the entity from " + m.stored->holder->hex(), true});
  return true;
}

void assignment_machine::handle_persist_failed(time_point) {
  impl& m = *impl_;
  auto* in = std::get_if<in_storing>(&m.data);
  if (in == nullptr) return m.emit("assignment-rejected", "unexpected failed write");
  const auto request = std::move(in->request);
  m.outputs.drop_persist();
  if (!request) {
    m.fire(trigger::report_store_failed, in_idle{});
    return;
  }
  if (m.fire(trigger::store_failed, in_answered{}))
    m.answer(request->asked->id, refusal{link_status::overloaded, detail::retry_overloaded,
                                         "the server cannot store at present"});
}

void assignment_machine::handle_conflict(time_point now, entity_record fresh) {
  impl& m = *impl_;
  auto* in = std::get_if<in_storing>(&m.data);
  if (in == nullptr) return m.emit("assignment-rejected", "unexpected conflict");
  m.stored = std::make_shared<const entity_record>(std::move(fresh));
  if (!in->request || ++in->request->conflicts > conflicts_max) return handle_persist_failed(now);
  m.outputs.clear();
  auto p = std::move(in->request);
  auto asked = p->asked;
  m.emit("conflict", "another server changed the record of the device first; deciding again");
  if (m.fire(trigger::conflicted, in_authenticating{std::move(p)}))
    m.outputs.push(assignment_fetch_user{std::move(asked)});
}

std::optional<assignment_output> assignment_machine::poll_output() {
  impl& m = *impl_;
  if (m.outputs.empty() && !m.stored_now()) return std::nullopt;
  if (m.outputs.empty()) return std::nullopt;
  std::optional<assignment_output> out{m.outputs.pop()};
  if (std::holds_alternative<assignment_answer>(*out) && m.state() == assignment_state::answered)
    m.fire(trigger::answer_taken, in_idle{});
  return out;
}

assignment_state assignment_machine::state() const { return impl_->state(); }
const entity_record& assignment_machine::record() const { return *impl_->stored; }

}  // namespace cpns::protocol
