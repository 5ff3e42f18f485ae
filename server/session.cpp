#include "server/session.hpp"

#include "base/log.hpp"
#include "protocol/codec.hpp"
#include "protocol/node_codec.hpp"

namespace cpns::server {
namespace {

using session_pointer = session_actor::stateful_pointer<session_state>;
using protocol::link_status;
using protocol::refusal;

constexpr std::uint32_t retry_store = 5;

template <class Body>
void answer(session_pointer self, const request_id& id, Body body) {
  self->state.answers->send(id, std::move(body));
}

void route(session_pointer self, std::shared_ptr<job> j) {
  auto& s = self->state;
  j->number = s.role->next_number++;
  j->from = s.peer;
  j->queued = s.now;
  s.to_route.push_back(std::move(j));
}

void send_jobs(session_pointer self) {
  auto& s = self->state;
  if (s.to_route.empty()) return;
  using jobs = std::vector<std::shared_ptr<const job>>;
  self->send(s.role->dispatcher(), do_jobs{std::make_shared<const jobs>(std::exchange(s.to_route, {}))});
}

void begin_read(session_pointer self) {
  auto& s = self->state;
  auto names = s.reads.begin();
  if (names.empty()) return;
  s.role->read(std::move(names), [me = session_actor{self}](storage::rows_found rows) {
    caf::anon_send(me, rows_read{0, std::make_shared<storage::rows_found>(std::move(rows))});
  });
}

/// What the handling of one message left to send.
void flush(session_pointer self) {
  begin_read(self);
  send_jobs(self);
}

/// As count_jobs.
std::optional<protocol::refused> count(session_pointer self, std::size_t jobs, work_permit& to) {
  return count_jobs(*self->state.role, self->state.peer->gw, jobs, to);
}

/// A gateway proves a password with a device that it invents (docs/protocol.md, UserChallenge): nothing is missing.
bool proves_a_password(const protocol::key_assignment_request& m, link_status answer) {
  return answer == link_status::unknown_entity && m.reason == protocol::assignment_reason::refill &&
         !m.known_epoch && !m.set && !m.dreq && m.entity.text().starts_with("urn:uuid:");
}

void log_proof(session_pointer self, const protocol::key_assignment_request& m) {
  auto& s = self->state;
  if (!s.role->refusals.may_log(s.role->now(), s.peer->uri)) return;
  log::info("server", "password-proven", "a gateway proved the password of its user",
            {{"user", m.user.text()}, {"gateway", s.peer->uri}, {"gw", s.peer->gw.hex()}});
}

void refuse_and_log(session_pointer self, const request_id& id, std::string_view about,
                    protocol::refused no) {
  self->state.answers->refuse(id, about, std::move(no));
}

bool is_blocked(session_pointer self) {
  return self->state.role->known_gateways.blocked(self->state.peer->gw);
}

protocol::refused blocked_gateway() {
  return {{link_status::gateway_blocked, 0, "an operator of the server has blocked this gateway"},
          "gateway-blocked",
          "it is refused until an operator unblocks it (cpns gateways unblock)"};
}

void answer_challenge(session_pointer self, const request_id& id, const user_id& user,
                      const result<std::optional<protocol::user_record>>& found) {
  if (!found) return refuse_and_log(self, id, {}, protocol::unreadable(found.error(), "the user"));
  answer(self, id, self->state.role->users.challenge(user, *found));
}

void handle(session_pointer self, const request_id& id, protocol::user_challenge&& m, admitted&& /*none*/) {
  auto& s = self->state;
  auto known = s.role->users.begin(m.user);
  if (known.record) return answer_challenge(self, id, m.user, std::move(known.record));
  // Pending reads are bounded like other work.
  work_permit counted;
  if (auto no = count(self, 1, counted)) return refuse_and_log(self, id, {}, *std::move(no));
  auto name = name_of_user(m.user);
  s.reads.add(std::move(name), challenge_read{id, std::move(m.user), std::move(known), std::move(counted)});
}

void handle(session_pointer self, const request_id& id, protocol::issuer_nonce_request&&,
            admitted&& /*none*/) {
  answer(self, id, protocol::issuer_nonce_answer{});
}

/// Checks before any actor is made: a request without a valid proof, or for a device that was not imported,
/// costs none.
std::optional<protocol::refused> check_early(session_pointer self, job::assign& asked,
                                             const request_rows& rows, const key_service* service) {
  auto& s = self->state;
  auto& role = *s.role;
  if (!rows.user) return protocol::unreadable(rows.user.error(), "the user");
  auto no = role.proof.check_first(asked, *rows.user);
  role.delays.record(role.now(), s.peer->gw, asked.request.user, !no);
  if (no) return no;
  if (rows.device && !*rows.device && service == nullptr) return protocol::unknown_entity();
  return std::nullopt;
}

/// Often enough that an answer leaves within 4/3 of the time.
void look_later(session_pointer self) {
  auto& s = self->state;
  if (s.assignments.empty() || std::exchange(s.look_armed, true)) return;
  self->delayed_send(session_actor{self}, s.role->settings()->slow_answer / 3, slow_look{});
}

void answer_slow(session_pointer self) {
  auto& s = self->state;
  s.look_armed = false;
  for (const auto& id : s.assignments.overdue(steady::now() - s.role->settings()->slow_answer)) {
    s.role->counted.assigned(link_status::overloaded);
    s.role->counted.refused(server_metrics::bound::slow);
    if (s.role->refusals.may_log(s.role->now(), s.peer->uri))
      log::warn("server", "store-slow",
                s.keys.empty()
                    ? "the store does not answer in time; the gateway is asked to repeat its request"
                    : "the store or the service of a manufacturer does not answer in time; the "
                      "gateway is asked to repeat its request",
                {{"gateway", s.peer->uri}});
    answer(self, id,
           refusal{link_status::overloaded, retry_soon,
                   s.keys.empty() ? "the store of the server is slow" : "a source of the server is slow"});
  }
  look_later(self);
}

void refuse_assignment(session_pointer self, const request_id& id, const protocol::key_assignment_request& m,
                       protocol::refused no) {
  self->state.role->counted.assigned(no.answer.status);
  if (proves_a_password(m, no.answer.status)) {
    log_proof(self, m);
    return answer(self, id, std::move(no.answer));
  }
  refuse_and_log(self, id, m.entity.text(), std::move(no));
}

/// Asks the manufacturer, whose user has proved the password. A request that was answered as slow meanwhile ends here: its
/// rows are old, and its repetition finds the key in memory.
void ask_service(session_pointer self, std::shared_ptr<job> j, key_service& service) {
  auto& s = self->state;
  const auto number = s.role->next_number++;
  const auto entity = j->entity;
  j->place = {};  // a service that hangs must not keep the requests for other devices from their turns
  s.keys.emplace(number, [self, j = std::move(j)](found_key found) mutable {
    auto& in_work = self->state.assignments;
    if (!in_work.in_work(j->id, j->arrived)) return;
    if (found && !*found) {
      in_work.end(j->id, j->arrived);
      return refuse_assignment(self, j->id, std::get<job::assign>(j->what).request,
                               protocol::unknown_entity());
    }
    j->rows->device = std::move(found);
    route(self, std::move(j));
  });
  service.ask(entity, [me = session_actor{self}, number](found_key found) {
    caf::anon_send(me, key_came{number, std::make_shared<found_key>(std::move(found))});
  });
}

/// Once the proof is right.
std::optional<protocol::refused> count_for_user(session_pointer self, const user_id& user,
                                                user_work::permit& to) {
  auto& role = *self->state.role;
  to = role.users_work->take(user, role.settings()->jobs_per_user);
  if (to) return std::nullopt;
  role.counted.refused(server_metrics::bound::user);
  return protocol::refused{
      {link_status::overloaded, role.door->retry_after(), "too many requests of this user are pending"},
      "user-full",
      "the pending requests of the user at all gateways reach limits.jobs_per_user"};
}

/// The rows of the request were read.
void go_on(session_pointer self, assignment_read&& r, read_queue<read_step>::rows rows) {
  auto& role = *self->state.role;
  auto& j = *r.what;
  auto& asked = std::get<job::assign>(j.what);
  const auto& m = asked.request;
  auto& found = j.rows.emplace(request_rows{std::move(rows[0])});
  found.device = role.temporary_keys.find(m.entity, rows[1]);
  if (r.known.record)
    found.user = std::move(r.known.record);
  else
    found.user = role.users.found(m.user, r.known, rows[2]);
  auto* service = role.temporary_keys.service_of(m.entity, rows[1]);
  auto no = check_early(self, asked, found, service);
  role.counted.checked.observe(self->state.now - j.arrived);
  if (!no) no = count_for_user(self, m.user, j.of_user);
  if (no) {
    if (!self->state.assignments.end(j.id, j.arrived)) return;  // answered as slow
    return refuse_assignment(self, j.id, m, *std::move(no));
  }
  if (service != nullptr) return ask_service(self, std::move(r.what), *service);
  route(self, std::move(r.what));
}

/// Its turn has come.
void handle(session_pointer self, const request_id& id, protocol::key_assignment_request&& m,
            admitted&& held) {
  auto& s = self->state;
  if (log::enabled(log::level::debug, "server"))
    log::debug(
        "server", "assignment-requested", "KeyAssignmentRequest (step 4)",
        {{"entity", m.entity.text()}, {"gw", s.peer->gw.hex()}, {"reason", std::string{name_of(m.reason)}}});
  if (const auto wait = s.role->delays.wait(s.role->now(), s.peer->gw, m.user); wait > 0) {
    s.assignments.end(id, held.arrived);
    return refuse_assignment(self, id, m, protocol::proof_delayed(wait));
  }
  auto j = std::make_shared<job>();
  j->arrived = held.arrived;
  j->counted = std::move(held.counted);
  j->place = std::move(held.place);
  j->entity = m.entity;
  j->id = id;
  j->mail = s.mail;
  const auto& asked = j->what.emplace<job::assign>(s.role->suite, s.sender, id, std::move(m)).request;
  auto known = s.role->users.begin(asked.user);
  const bool reads_user = !known.record;
  s.reads.add(name_of_entity(asked.entity), assignment_read{std::move(j), std::move(known)});
  s.reads.also(name_of_device(asked.entity));
  if (reads_user) s.reads.also(name_of_user(asked.user));
}

void finish_report(session_pointer self, const request_id& id, const session_state::report& r) {
  protocol::epoch_report_answer out;
  for (std::size_t i = 0; i < r.outcomes.size(); ++i)
    if (r.outcomes[i]) out.entries.emplace_back(r.asked.entries[i].first, *r.outcomes[i]);
  // Entries that are not answered are reported again.
  if (out.entries.empty())
    return answer(self, id,
                  refusal{link_status::overloaded, retry_store, "the server cannot store at present"});
  answer(self, id, std::move(out));
}

/// Stores the outcome of one entry; the last one answers the report.
void entry_is_done(session_pointer self, const request_id& id, std::size_t entry,
                   std::optional<protocol::report_outcome> outcome) {
  auto& s = self->state;
  const auto at = s.reports.find(id);
  if (at == s.reports.end() || entry >= at->second.outcomes.size()) return;
  s.role->counted.reported(outcome);
  at->second.outcomes[entry] = outcome;
  if (--at->second.missing != 0) return;
  const auto r = std::move(at->second);
  s.reports.erase(at);
  finish_report(self, id, r);
}

void work_on_reports(session_pointer self);

/// An entity without a row has no holder: its entry is answered here with resync, without an actor.
void go_on(session_pointer self, entry_read&& r, read_queue<read_step>::rows rows) {
  auto& s = self->state;
  auto& j = *r.what;
  auto& row = rows.front();
  if (row && !row->value) {
    --s.entries_pending;
    entry_is_done(self, j.id, std::get<job::report>(j.what).entry, protocol::report_outcome::resync);
    return work_on_reports(self);
  }
  j.rows.emplace(request_rows{std::move(row)});
  j.reply_to = session_actor{self};
  route(self, std::move(r.what));
}

void go_on(session_pointer self, challenge_read&& r, read_queue<read_step>::rows rows) {
  answer_challenge(self, r.id, r.user, self->state.role->users.found(r.user, r.known, rows.front()));
}

void begin_entry(session_pointer self, const request_id& id, session_state::report& r) {
  const std::size_t entry = r.begun++;
  const auto& [entity, which] = r.asked.entries[entry];
  auto j = std::make_shared<job>();
  j->entity = entity;
  j->id = id;
  j->what = job::report{entry, which};
  j->counted = r.counted.one();
  j->place = self->state.role->door->enter();
  ++self->state.entries_pending;
  self->state.reads.add(name_of_entity(entity), entry_read{std::move(j)});
}

void work_on_reports(session_pointer self) {
  auto& s = self->state;
  while (!s.waiting.empty() && s.entries_pending < entries_at_once) {
    const auto id = s.waiting.front();
    auto& r = s.reports.at(id);
    if (r.begun + 1 == r.asked.entries.size()) s.waiting.pop_front();
    begin_entry(self, id, r);
  }
}

void handle(session_pointer self, const request_id& id, protocol::epoch_report&& m, admitted&& /*none*/) {
  auto& s = self->state;
  if (m.entries.empty()) return answer(self, id, protocol::epoch_report_answer{});
  if (s.reports.count(id) != 0)
    return answer(self, id, refusal{link_status::overloaded, retry_soon, "the same report is pending"});
  work_permit counted;
  if (auto no = count(self, m.entries.size(), counted)) {
    s.role->counted.reported(std::nullopt, m.entries.size());
    return refuse_and_log(self, id, {}, *std::move(no));
  }
  auto& r = s.reports[id];
  r.outcomes.resize(m.entries.size());
  r.missing = m.entries.size();
  r.asked = std::move(m);
  r.counted = std::move(counted);
  s.waiting.push_back(id);
  work_on_reports(self);
}

/// Takes an acknowledgement of what the server sent by itself; one that nobody waits for changes nothing.
bool take_acknowledgement(session_pointer self, const bytes& frame) {
  auto& s = self->state;
  if (!can_be_asked(*s.peer) || !protocol::begins_node_acknowledgement(frame)) return false;
  const auto a = protocol::decode_node_acknowledgement(frame);
  if (!a) return false;
  s.role->notices.acknowledged(s.place, *a);
  s.port->needs_no_answer();
  return true;
}

/// Decodes a request and begins its work. `held`: of a KeyAssignmentRequest.
void open(session_pointer self, const bytes& frame, admitted held = {}) {
  auto& s = self->state;
  auto request = protocol::decode_link_request(frame);
  if (request) {
    if (request->incarnation > s.role->settings()->assignment.incarnation &&
        s.role->refusals.may_log(s.role->now(), s.peer->uri))
      log::warn("server", "incarnation-behind",
                "a gateway has seen a later incarnation of this server: was the store restored?",
                {{"gateway", s.peer->uri},
                 {"seen_incarnation", std::to_string(request->incarnation)},
                 {"own_incarnation", std::to_string(s.role->settings()->assignment.incarnation)}});
    const auto id = request->id;
    if (is_blocked(self)) {
      s.assignments.end(id, held.arrived);
      if (std::holds_alternative<protocol::key_assignment_request>(request->body))
        s.role->counted.assigned(link_status::gateway_blocked);
      return refuse_and_log(self, id, {}, blocked_gateway());
    }
    return std::visit([self, &id, &held](auto& m) { handle(self, id, std::move(m), std::move(held)); },
                      request->body);
  }
  s.role->counted.bad_frames.add();
  if (s.role->refusals.may_log(s.role->now(), s.peer->uri))
    log::warn("server", "bad-request", request.error().message(), {{"gateway", s.peer->uri}});
  const auto id = protocol::peek_request_id(frame);
  if (id) s.assignments.end(*id, held.arrived);
  if (id) return answer(self, *id, refusal{link_status::bad_request, 0, "the request cannot be decoded"});
  s.port->close("a frame is not a request");
}

/// A KeyAssignmentRequest that was let in.
void take_admitted(session_pointer self, const request_id& id, const bytes& frame, admitted held) {
  self->state.assignments.begin(id, held.arrived);
  look_later(self);
  open(self, frame, std::move(held));
}

void take(session_pointer self, const bytes& frame) {
  if (take_acknowledgement(self, frame)) return;
  const auto id = protocol::peek_assignment_request(frame);
  if (!id || is_blocked(self)) return open(self, frame);
  // The gateway was blocked when the front desk passed it on.
  admitted held{steady::now(), {}, self->state.role->door->enter()};
  if (auto no = count(self, 1, held.counted)) return refuse_and_log(self, *id, {}, *std::move(no));
  take_admitted(self, *id, frame, std::move(held));
}

void assignment_is_done(session_pointer self, assignment_done& m, steady::time_point now) {
  if (!self->state.assignments.end(m.id, m.arrived)) {  // answered as slow
    if (std::holds_alternative<protocol::assigned_keys>(m.body)) self->state.role->undelivered.put(m.id);
    return;
  }
  const auto& counted = self->state.role->counted;
  // Blocked while the request was in work: it gets no keys after that.
  if (is_blocked(self)) {
    counted.assigned(link_status::gateway_blocked);
    return refuse_and_log(self, m.id, {}, blocked_gateway());
  }
  const auto* no = std::get_if<refusal>(&m.body);
  counted.assigned(no != nullptr ? no->status : link_status::ok);
  counted.whole.observe(now - m.arrived);
  std::visit([self, &m](auto& body) { answer(self, m.id, std::move(body)); }, m.body);
}

void assignments_are_done(session_pointer self) {
  auto& s = self->state;
  const auto now = steady::now();
  for (auto& done : s.mail->take()) assignment_is_done(self, done, now);
}

void report_is_done(session_pointer self, const report_done& m) {
  auto& s = self->state;
  if (s.entries_pending > 0) --s.entries_pending;
  entry_is_done(self, m.id, m.entry, m.outcome);
  work_on_reports(self);
}

/// Warns the operator of two gateways with one certificate, or of one gateway started twice.
void note_use(session_pointer self, std::size_t requests) {
  auto& s = self->state;
  const auto other = s.role->gateways.used(s.role->now(), s.peer->gw, s.place, requests);
  if (!other) return;
  log::warn(
      "server", "gateway-connected-twice",
      "one gateway identity is connected twice, and both connections are in use: two gateways have the "
      "same certificate or key, or a copy of one is running; give each gateway its own",
      {{"gateway", s.peer->uri}, {"gw", s.peer->gw.hex()}, {"peer", s.peer->address}, {"other", *other}});
}

}  // namespace

session_actor::behavior_type session(session_actor::stateful_pointer<session_state> self,
                                     std::shared_ptr<role_context> role, peer_info peer,
                                     std::shared_ptr<link_port> port) {
  auto& s = self->state;
  s.role = std::move(role);
  s.peer = std::make_shared<const peer_info>(std::move(peer));
  s.sender = std::make_shared<const protocol::requester>(
      protocol::requester{s.peer->gw, s.peer->exporter, s.peer->uri});
  s.port = port;
  s.mail = std::make_shared<session_mail>(session_actor{self});
  s.answers = std::make_unique<answer_port>(s.role, s.peer, s.port);
  s.place = s.role->gateways.enter(s.role->now(), *s.peer, port);
  s.role->known_gateways.connected(s.role->now(), *s.peer);
  s.role->notices.enter(s.place, *s.peer, port);
  self->set_exception_handler([](std::exception_ptr&) -> caf::error { return caf::sec::runtime_error; });
  // However this actor ends, its connection is closed, and the gateway connects again.
  self->attach_functor([port = std::move(port), context = s.role, gw = s.peer->gw, place = s.place] {
    context->gateways.leave(gw, place);
    context->notices.leave(place);
    port->close("the session ended");
  });
  return {
      [self](const frames_came& m) {
        note_use(self, m.frames->size());
        for (const auto& f : *m.frames) take(self, f);
        flush(self);
      },
      [self](const requests_came& m) {
        note_use(self, m.all->size());
        for (auto& r : *m.all) take_admitted(self, r.id, r.frame, std::move(r.held));
        flush(self);
      },
      [self](const rows_read& m) {
        self->state.now = steady::now();
        self->state.reads.finish(
            std::move(*m.rows), [self] { begin_read(self); },
            [self](read_step then, read_queue<read_step>::rows rows) {
              std::visit([&](auto& what) { go_on(self, std::move(what), rows); }, then);
            });
        flush(self);
      },
      [self](const key_came& m) {
        self->state.now = steady::now();
        if (const auto ask = self->state.keys.extract(m.number)) ask.mapped()(std::move(*m.found));
        flush(self);
      },
      [self](const assignments_done&) { assignments_are_done(self); },
      [self](const report_done& m) {
        report_is_done(self, m);
        flush(self);
      },
      [self](const slow_look&) { answer_slow(self); },
      [self](const link_closed&) { self->quit(); },
  };
}

}  // namespace cpns::server
