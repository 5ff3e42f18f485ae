#include "server/assignment.hpp"

#include <utility>

#include "base/log.hpp"
#include "server/index_rows.hpp"

namespace cpns::server {
namespace {

using assignment_pointer = assignment_actor::stateful_pointer<assignment_state>;
using protocol::link_status;
using protocol::refusal;

constexpr std::uint32_t retry_unwritten = 5;  // seconds, while the store accepts no writes

const job::assign* as_assign(const job& j) { return std::get_if<job::assign>(&j.what); }
const job::release* as_release(const job& j) { return std::get_if<job::release>(&j.what); }

void finish_job(assignment_pointer self) {
  auto& s = self->state;
  s.lines.clear();
  if (s.uncertain) s.known = false;
  if (!s.known) s.machine.reset();  // it may have the keys of another entity
  s.rows = nullptr;
  s.own_rows.reset();  // they hold keys
  if (s.role->jobs_done.put({std::exchange(s.current, nullptr), s.uncertain}))
    self->send(s.dispatcher, look_at_done{});
}

void send_answer(assignment_pointer self, answer_body body) {
  const job& j = *self->state.current;
  j.mail->put({j.id, std::move(body), j.arrived});
}

void send_report_outcome(assignment_pointer self, std::optional<protocol::report_outcome> outcome) {
  const job& j = *self->state.current;
  self->send(j.reply_to, report_done{j.id, std::get<job::report>(j.what).entry, outcome});
}

void send_release_outcome(assignment_pointer self) {
  auto& s = self->state;
  as_release(*s.current)->reply->answer(std::exchange(s.released, fail(errc::internal)));
}

/// Answers a job that the machine does not answer by itself.
void send_outcome(assignment_pointer self) {
  const job& j = *self->state.current;
  if (as_release(j) != nullptr)
    send_release_outcome(self);
  else if (as_assign(j) == nullptr)
    send_report_outcome(self, self->state.outcome);
}

void write_line(const assignment_state& s, log::level level, std::string_view event, std::string_view text) {
  log::write(level, "server", event, text, {{"entity", s.entity.text()}, {"gw", s.current->from->gw.hex()}});
}

/// Keeps a line until it is known whether the job is granted.
void note(assignment_state& s, std::string_view event, std::string_view text,
          log::level level = log::level::debug) {
  if (log::enabled(level, "server")) s.lines.push_back({level, event, std::string{text}});
}

void write_lines(assignment_state& s) {
  for (const auto& l : std::exchange(s.lines, {})) write_line(s, l.level, l.event, l.text);
}

void log_refusal(assignment_state& s, const refusal& no) {
  if (!s.role->refusals.may_log(s.role->now(), s.current->from->uri)) return s.lines.clear();
  write_lines(s);
  log::warn("server", "assignment-refused", no.reason,
            {{"entity", s.entity.text()},
             {"gateway", s.current->from->uri},
             {"gw", s.current->from->gw.hex()},
             {"status", name_of(no.status)},
             {"ms", std::to_string((s.role->now() - s.began).count())}});
}

void log_answer(assignment_state& s, const answer_body& body) {
  if (const auto* no = std::get_if<refusal>(&body)) return log_refusal(s, *no);
  write_lines(s);
  if (!log::enabled(log::level::info, "server")) return;
  const auto& keys = std::get<protocol::assigned_keys>(body);
  log::info("server", "assignment-answered", "KeyAssignmentResponse (step 8)",
            {{"entity", s.entity.text()},
             {"gw", s.current->from->gw.hex()},
             {"set", keys.set.hex()},
             {"epoch", epoch{keys.generation, keys.first_index}.text()},
             {"keys", std::to_string(keys.eukeys.size())},
             {"chained", keys.chain ? "yes" : "no"},
             {"ms", std::to_string((s.role->now() - s.began).count())}});
}

void refuse_job(assignment_pointer self, refusal no, error why) {
  if (const auto* r = as_release(*self->state.current))
    r->reply->answer(fail(std::move(why)));
  else if (as_assign(*self->state.current) != nullptr)
    send_answer(self, std::move(no));
  else
    send_report_outcome(self, std::nullopt);
  finish_job(self);
}

void refuse_unreadable(assignment_pointer self, error why) {
  auto& s = self->state;
  auto no = protocol::unreadable(why, "the device");
  if (s.role->refusals.may_log(s.role->now(), s.current->from->uri))
    write_line(s, log::level::error, no.event, no.why);
  refuse_job(self, std::move(no.answer), std::move(why));
}

/// Reads the rows of the current job again. The numbers of reads and writes are different ones.
void read_rows(assignment_pointer self) {
  auto& s = self->state;
  const auto number = s.role->next_number++;
  s.read = number;
  std::vector<storage::row_name> names{name_of_entity(s.entity)};
  if (const auto* a = as_assign(*s.current)) {
    names.push_back(name_of_device(s.entity));
    names.push_back(name_of_user(a->request.user));
    s.user =
        s.role->users.begin(a->request.user);  // before the read: a user who changes meanwhile is not cached
  }
  s.role->read(std::move(names), [me = assignment_actor{self}, number](storage::rows_found rows) {
    caf::anon_send(me, rows_read{number, std::make_shared<storage::rows_found>(std::move(rows))});
  });
}

result<protocol::entity_record> record_of(const assignment_state& s, const storage::sealed_value& row) {
  if (row.value) return protocol::decode_entity_record(row.value->expose());
  protocol::entity_record fresh;
  fresh.entity = s.entity;
  return fresh;
}

/// Gives the machine the newest record that is known here. False: the current job was refused.
bool load(assignment_pointer self) {
  auto& s = self->state;
  const auto& row = s.rows->entity;
  if (!row) return refuse_unreadable(self, row.error()), false;
  const auto settings = s.role->settings();
  std::optional<protocol::entity_record> record;
  if (!s.known || s.uncertain || row->version > s.version) {
    auto decoded = record_of(s, *row);
    if (!decoded) return refuse_unreadable(self, std::move(decoded).error()), false;
    record = *std::move(decoded);
    s.version = row->version;
    s.uncertain = false;
  } else if (s.made_with != settings) {
    record = s.machine->record();  // the configuration was reloaded since
  }
  if (row->version == s.version) s.read_at = row->read_at;
  if (!record) return true;
  if (s.machine && s.made_with == settings && s.machine->state() == protocol::assignment_state::idle)
    s.machine->load(*std::move(record));
  else
    s.machine.emplace(settings->assignment, *std::move(record), s.role->suite, s.role->random);
  s.made_with = settings;
  s.known = true;
  return true;
}

void begin_release(assignment_state& s, const job::release& asked) {
  const auto& r = s.machine->record();
  released_entity taken{s.entity, r.holder.value_or(gateway_id{}), r.holder_uri, r.holder_since};
  if (s.machine->handle_release(s.began, asked.only_from))
    s.released = std::move(taken);
  else
    s.released = fail(errc::state_unknown, (asked.only_from ? "the gateway " + asked.only_from->hex() +
                                                                  " does not hold the device "
                                                            : "a gateway that holds the device ") +
                                               s.entity.text());
}

/// The rows of the current job are here.
void decide(assignment_pointer self) {
  auto& s = self->state;
  if (!load(self)) return;
  const job& j = *s.current;
  if (const auto* a = as_assign(j))
    s.machine->handle_request(s.began, std::shared_ptr<const job::assign>{s.current, a});
  else if (const auto* r = as_release(j))
    begin_release(s, *r);
  else
    s.outcome = s.machine->handle_report(s.began, j.from->gw, std::get<job::report>(j.what).which);
}

/// What is known of one entity says nothing of another one.
void become(assignment_state& s, const entity_id& entity) {
  if (s.entity == entity) return;
  s.entity = entity;
  s.known = false;
  s.version = s.read_at = 0;
  s.uncertain = false;
}

/// After a failed write the row is read only once the store is writable: until then the write may still take effect.
void begin(assignment_pointer self) {
  auto& s = self->state;
  s.current = std::move(s.waiting.front());
  s.waiting.erase(s.waiting.begin());
  become(s, s.current->entity);
  s.began = s.turn = s.role->now();
  s.conflicts = 0;
  s.asked_again = false;
  s.rows = s.current->rows ? &*s.current->rows : nullptr;
  if (as_assign(*s.current) != nullptr) s.role->counted.queued.observe(steady::now() - s.current->queued);
  if (s.uncertain && !s.role->store.health().writable)
    return refuse_job(self,
                      refusal{link_status::overloaded, retry_unwritten, "the server cannot store at present"},
                      {errc::state_overloaded, "the store accepts no writes at present"});
  if (s.rows == nullptr || s.uncertain) return read_rows(self);
  decide(self);
}

// One function per output of the machine.

void apply(assignment_pointer self, protocol::assignment_fetch_user&& /*o*/) {
  auto& s = self->state;
  s.machine->handle_user(s.turn, s.rows->user);
}

void apply(assignment_pointer self, protocol::assignment_fetch_device&& /*o*/) {
  auto& s = self->state;
  note(s, "user-verified", "the proof matches the user's password (step 5)");
  const auto& device = s.rows->device;
  if (device && *device)
    note(s, "temporary-key-obtained",
         (*device)->from_service              ? "the key came from the service of the manufacturer (step 7)"
         : (*device)->always_require_presence ? "the key follows from the batch of the device (step 7)"
                                              : "the device is in the manufacturer's table (step 7)");
  s.machine->handle_device(s.turn, device);
}

void submit(assignment_pointer self, storage::sealed_batch batch) {
  auto& s = self->state;
  const auto number = s.role->next_number++;
  s.write = number;
  s.submitted = steady::now();
  s.role->commit(std::move(batch), [me = assignment_actor{self}, number](const status& written) {
    const bool lost = !written && written.error() == errc::store_conflict;
    if (!written && !lost) log::error("server", "write-failed", written.error().message());
    caf::anon_send(me, row_stored{number, written.has_value(), lost});
  });
}

void apply(assignment_pointer self, protocol::assignment_persist&& o) {
  auto& s = self->state;
  write_lines(s);
  storage::sealed_batch batch;
  batch.reserve(3);  // and two rows of indexes
  batch.push_back({storage::table::entities, to_bytes(as_bytes(s.entity.text())), encode(*o.record),
                   s.version, false, false, s.read_at});
  const auto& before = s.machine->record();
  const bool first = s.version == 0 && before.sets.empty();  // not of schema 1
  add_index_rows(batch, *o.record, before, first ? s.read_at : 0);
  submit(self, std::move(batch));
}

/// A device that did not prove its presence may have got another key from its manufacturer, who is asked once more. True: the
/// answer waits for that.
bool ask_again(assignment_pointer self, answer_body& body) {
  auto& s = self->state;
  const auto* no = std::get_if<refusal>(&body);
  const auto& device = s.rows->device;
  if (no == nullptr || no->status != link_status::presence_failed || s.asked_again || !device || !*device ||
      !(*device)->from_service)
    return false;
  auto* service = s.role->temporary_keys.services()->of(s.entity);
  const auto number = s.role->next_number++;
  const auto came = [me = assignment_actor{self}, number](found_key found) {
    caf::anon_send(me, key_came{number, std::make_shared<found_key>(std::move(found))});
  };
  if (service == nullptr || !service->ask_again(s.entity, (*device)->temporary_key, came)) return false;
  s.asked_again = true;
  s.ask = number;
  s.refused = std::move(body);
  return true;
}

void apply(assignment_pointer self, protocol::assignment_answer&& o) {
  if (ask_again(self, o.body)) return;
  log_answer(self->state, o.body);
  send_answer(self, std::move(o.body));
}

void apply(assignment_pointer self, protocol::assignment_event&& o) {
  auto& s = self->state;
  const auto level = o.routine ? log::level::debug : log::level::info;
  // A report is never refused, so its lines have no other limit.
  if (as_assign(*s.current) != nullptr)
    note(s, o.id, o.text, level);
  else if (o.routine || s.role->refusals.may_log(s.role->now(), s.current->from->uri))
    write_line(s, level, o.id, o.text);
}

/// Polls the machine until it waits for a read or a write, or the job is done; called again after them.
void pump(assignment_pointer self) {
  auto& s = self->state;
  while (s.current && !s.write && !s.read && !s.ask) {
    auto out = s.machine->poll_output();
    if (out) {
      std::visit([self](auto& o) { apply(self, std::move(o)); }, *out);
      continue;
    }
    send_outcome(self);
    finish_job(self);
  }
}

void work(assignment_pointer self) {
  auto& s = self->state;
  if (std::exchange(s.wait_for_writes, false)) submit(self, {});  // completions come in order
  while (!s.current && !s.write && !s.read && !s.ask && !s.waiting.empty()) {
    begin(self);
    pump(self);
  }
}

void write_failed(assignment_state& s) {
  s.uncertain = true;
  s.machine->handle_persist_failed(s.role->now());
  s.outcome.reset();
  s.released =
      fail(errc::store_write_failed, "the release could not be stored; read the entity to see its holder");
}

void after_write(assignment_pointer self, const row_stored& m) {
  auto& s = self->state;
  if (s.write != m.number) return;
  s.write.reset();
  if (!s.current) return work(self);
  if (as_assign(*s.current) != nullptr) s.role->counted.stored.observe(steady::now() - s.submitted);
  if (m.lost && ++s.conflicts <= protocol::conflicts_max) return read_rows(self);
  if (!m.ok) {
    write_failed(s);
  } else {
    ++s.version;
    if (as_assign(*s.current) != nullptr && log::enabled(log::level::debug, "server"))
      log::debug("server", "set-stored", "a set of EUKeys is stored (step 6)", {{"entity", s.entity.text()}});
  }
  pump(self);
  work(self);
}

/// Another server was faster: the machine decides again with the record as it is now.
void after_conflict(assignment_pointer self) {
  auto& s = self->state;
  auto record = s.rows->entity ? record_of(s, *s.rows->entity) : fail(s.rows->entity.error());
  if (!record) {
    const auto no = protocol::unreadable(record.error(), "the device");
    const auto level = protocol::is_damage(record.error()) ? log::level::error : log::level::info;
    log::write(level, "server", no.event, no.why, {{"entity", s.entity.text()}});
    return write_failed(s);
  }
  s.version = s.rows->entity->version;
  s.read_at = s.rows->entity->read_at;
  s.machine->handle_conflict(s.role->now(), *std::move(record));
  if (as_assign(*s.current) == nullptr) decide(self);
}

void after_read(assignment_pointer self, const rows_read& m) {
  auto& s = self->state;
  if (s.read != m.number) return;
  s.read.reset();
  s.turn = s.role->now();
  auto& rows = *m.rows;
  request_rows found{std::move(rows[0])};
  if (const auto* a = as_assign(*s.current)) {
    // The key of a manufacturer came with the job, or by ask_again().
    const bool asked = s.rows != nullptr && s.role->temporary_keys.service_of(s.entity, rows[1]) != nullptr;
    found.device = asked ? s.rows->device : s.role->temporary_keys.find(s.entity, rows[1]);
    found.user = s.role->users.found(a->request.user, std::exchange(s.user, {}), rows[2]);
  }
  s.rows = &s.own_rows.emplace(std::move(found));
  if (s.conflicts > 0)
    after_conflict(self);
  else
    decide(self);
  pump(self);
  work(self);
}

/// The answer to ask_again(): the machine decides the request again, if the key is another one.
void after_key(assignment_pointer self, const key_came& m) {
  auto& s = self->state;
  if (s.ask != m.number) return;
  s.ask.reset();
  s.turn = s.role->now();
  auto refused = *std::exchange(s.refused, {});
  const auto& found = *m.found;
  const bool other = found && (!*found || !((*found)->temporary_key == (**s.rows->device).temporary_key));
  if (other) {
    note(s, "temporary-key-changed", "the service of the manufacturer answers otherwise now (step 7)",
         log::level::info);
    auto rows = *s.rows;
    rows.device = found;
    s.rows = &s.own_rows.emplace(std::move(rows));
    decide(self);
  } else {
    log_answer(s, refused);
    send_answer(self, std::move(refused));
  }
  pump(self);
  work(self);
}

}  // namespace

assignment_actor::behavior_type assignment(assignment_actor::stateful_pointer<assignment_state> self,
                                           role_context* role, entity_id entity, dispatcher_actor dispatcher,
                                           bool after_crash) {
  self->state.role = role;
  self->state.entity = std::move(entity);
  self->state.dispatcher = std::move(dispatcher);
  self->state.wait_for_writes = self->state.uncertain = after_crash;
  self->set_exception_handler([](std::exception_ptr&) -> caf::error { return caf::sec::runtime_error; });
  return {
      [self](const do_job& m) {
        self->state.waiting.push_back(m.what);
        work(self);
      },
      [self](const rows_read& m) { after_read(self, m); },
      [self](const key_came& m) { after_key(self, m); },
      [self](const row_stored& m) { after_write(self, m); },
  };
}

}  // namespace cpns::server
