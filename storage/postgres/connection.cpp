#include "storage/postgres/connection.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <poll.h>

#include "base/private_file.hpp"

namespace cpns::storage::postgres {

namespace {

constexpr std::size_t password_bytes_max = 1024;
/// A lock is given up before the limit of the statement ends the connection.
constexpr milliseconds lock_margin{500};

std::string in_milliseconds(milliseconds t) { return std::to_string(t.count()) + "ms"; }

/// The settings of a session. Portable engines know only the first.
std::string session_options(const postgres_settings& s) {
  const auto lock = std::max(s.statement - lock_margin, s.statement / 2);
  std::string out = "-c lock_timeout=" + in_milliseconds(lock) +
                    " -c default_transaction_isolation=read\\ committed -c synchronous_commit=on";
  if (s.statements == postgres_statements::portable) return out;
  // Rows are locked in the order of the arrays only by a nested loop over them, whatever the statistics say.
  out += " -c plan_cache_mode=force_generic_plan -c enable_hashjoin=off -c enable_mergejoin=off -c "
         "enable_seqscan=off";
  // The server lets go of the locks of a client that is cut off.
  return out + " -c tcp_keepalives_idle=2 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=2 -c "
               "tcp_user_timeout=6000";
}

/// Everything that libpq would otherwise take from the environment or from files.
std::map<std::string, std::string> parameters_of(const postgres_settings& s, std::size_t host) {
  std::map<std::string, std::string> out{
      {"host", s.hosts[host].host},
      {"port", std::to_string(s.hosts[host].port)},
      {"dbname", s.database},
      {"user", s.user},
      {"passfile", "/nonexistent"},
      {"application_name", "cpns"},
      {"client_encoding", "UTF8"},
      {"options", session_options(s)},
      {"sslmode", std::string(name_of(s.tls))},
      {"gssencmode", "disable"},
      {"target_session_attrs", "read-write"},
      {"keepalives_idle", "1"},
      {"keepalives_interval", "1"},
      {"keepalives_count", "2"},
      {"tcp_user_timeout", "3000"},
  };
  if (!s.root_certificate.empty()) out["sslrootcert"] = s.root_certificate.string();
  return out;
}

PGconn* connect_start(const postgres_settings& s, std::size_t host, const std::string& password) {
  const auto parameters = parameters_of(s, host);
  std::vector<const char*> names, values;
  for (const auto& [name, value] : parameters) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  if (!password.empty()) {
    names.push_back("password");
    values.push_back(password.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  return PQconnectStartParams(names.data(), values.data(), 0);
}

/// Read at every attempt, so that a changed password needs no restart.
result<std::string> password_of(const postgres_settings& s) {
  if (s.password_file.empty()) return std::string{};
  CPNS_TRY(const auto line, read_secret_line(s.password_file, password_bytes_max));
  return std::string(as_text(line.expose()));
}

std::string_view field_of(const PGresult* r, int field) {
  const char* text = PQresultErrorField(r, field);
  return text == nullptr ? std::string_view{} : std::string_view(text);
}

bool poll_for(int socket, short events, connection::steady::time_point until) {
  const auto left = std::chrono::ceil<milliseconds>(until - connection::steady::now());
  if (left.count() <= 0) return false;
  pollfd waiting{socket, events, 0};
  // A signal only shortens the wait: callers look again until their limit.
  return ::poll(&waiting, 1, static_cast<int>(left.count())) != 0;
}

}  // namespace

outcome<std::unique_ptr<connection>> connection::dial(const postgres_settings& s, std::size_t host) {
  const auto where = shown_host(s, host);
  auto password = password_of(s);
  if (!password) return fail(failure{trouble::other, password.error().code, password.error().detail});
  const auto until = steady::now() + s.dial;
  std::unique_ptr<PGconn, end_connection> raw(connect_start(s, host, *password));
  wipe(*password);
  if (!raw) return fail(failure{trouble::unreachable, errc::store_unavailable, where + ": no memory"});
  std::unique_ptr<connection> out(new connection(std::move(raw), host, where));
  PQsetNoticeReceiver(out->raw_.get(), take_notice, out.get());
  const auto unreachable = [&](const std::string& why) {
    return fail(
        failure{trouble::unreachable, errc::store_unavailable, "cannot connect to " + where + ": " + why});
  };
  for (auto step = PGRES_POLLING_WRITING; step != PGRES_POLLING_OK;) {
    if (step == PGRES_POLLING_FAILED || PQstatus(out->raw_.get()) == CONNECTION_BAD)
      return unreachable(masked(PQerrorMessage(out->raw_.get())));
    if (!out->wait(step == PGRES_POLLING_READING ? POLLIN : POLLOUT, until))
      return unreachable("no answer within " + in_milliseconds(s.dial));
    step = PQconnectPoll(out->raw_.get());
  }
  if (PQsetnonblocking(out->raw_.get(), 1) != 0 || PQenterPipelineMode(out->raw_.get()) != 1)
    return unreachable(masked(PQerrorMessage(out->raw_.get())));
  return out;
}

void connection::take_notice(void* self, const PGresult* notice) {
  if (field_of(notice, PG_DIAG_SEVERITY_NONLOCALIZED) == "WARNING")
    static_cast<connection*>(self)->warned_ = true;
}

bool connection::wait(short events, steady::time_point until) const {
  return poll_for(PQsocket(raw_.get()), events, until);
}

/// One exchange: what was sent, and what came back.
class connection::pipeline {
 public:
  pipeline(connection& on, steady::time_point until) : on_(on), c_(on.raw_.get()), until_(until) {}

  bool send(std::span<const query> queries);
  /// Everything up to the synchronisation.
  outcome<std::vector<reply>> receive();

 private:
  struct sent {
    const query* what = nullptr;
    bool preparation = false;
  };
  bool send(const query& q);
  void take(reply r);
  bool more();
  [[nodiscard]] failure lost(const std::string& why) const;

  connection& on_;
  PGconn* const c_;
  const steady::time_point until_;
  std::vector<sent> sent_;
  std::size_t answered_ = 0;
  bool synchronised_ = false;
  std::vector<reply> replies_;
  std::optional<failure> failed_;
};

bool connection::pipeline::send(const query& q) {
  const auto& what = *q.what;
  const auto count = static_cast<int>(q.parameters.size());
  std::vector<const char*> values;
  std::vector<int> lengths;
  const std::vector<int> formats(q.parameters.size(), 1);
  for (const auto& p : q.parameters) {
    values.push_back(p.data());
    lengths.push_back(static_cast<int>(p.size()));
  }
  if (what.name.empty()) {
    sent_.push_back({&q});
    return PQsendQueryParams(c_, what.sql.c_str(), count, nullptr, values.data(), lengths.data(),
                             formats.data(), 1) == 1;
  }
  const auto under_way = [&what](const sent& s) { return s.preparation && s.what->what == &what; };
  if (!on_.prepared_.contains(what.name) && std::none_of(sent_.begin(), sent_.end(), under_way)) {
    sent_.push_back({&q, true});
    if (PQsendPrepare(c_, what.name.c_str(), what.sql.c_str(), 0, nullptr) != 1) return false;
  }
  sent_.push_back({&q});
  return PQsendQueryPrepared(c_, what.name.c_str(), count, values.data(), lengths.data(), formats.data(),
                             1) == 1;
}

bool connection::pipeline::send(std::span<const query> queries) {
  const auto one = [this](const query& q) { return send(q); };
  return std::all_of(queries.begin(), queries.end(), one) && PQpipelineSync(c_) == 1;
}

failure connection::pipeline::lost(const std::string& why) const {
  return {trouble::lost, errc::store_unavailable, "lost the connection to " + on_.where_ + ": " + why, true};
}

/// Moves bytes both ways: two sides that only send would wait for each other.
bool connection::pipeline::more() {
  const auto unsent = PQflush(c_);
  if (unsent < 0) return false;
  if (!on_.wait(static_cast<short>(POLLIN | (unsent > 0 ? POLLOUT : 0)), until_)) return false;
  return PQconsumeInput(c_) == 1;
}

void connection::pipeline::take(reply r) {
  const auto kind = PQresultStatus(r.get());
  if (kind == PGRES_PIPELINE_SYNC) {
    synchronised_ = true;
    return;
  }
  if (kind == PGRES_FATAL_ERROR) {
    const auto state = field_of(r.get(), PG_DIAG_SQLSTATE);
    const auto severity = field_of(r.get(), PG_DIAG_SEVERITY_NONLOCALIZED);
    auto why = server_failure(state, field_of(r.get(), PG_DIAG_MESSAGE_PRIMARY));
    if (state.empty() || severity != "ERROR") why = lost(state.empty() ? "it was closed" : why.detail);
    if (!failed_) failed_ = std::move(why);
  }
  if (answered_ == sent_.size()) return;
  const auto& of = sent_[answered_++];
  if (!of.preparation) {
    replies_.push_back(std::move(r));
  } else if (kind == PGRES_COMMAND_OK) {
    on_.prepared_.insert(of.what->what->name);
  }
}

outcome<std::vector<reply>> connection::pipeline::receive() {
  while (!synchronised_ && !(failed_ && failed_->ends_connection())) {
    if (steady::now() >= until_) return fail(lost("no answer in time"));
    if (PQflush(c_) > 0 || PQisBusy(c_) == 1) {
      const bool alive = more();
      // What came before the end of the connection still counts.
      if (!alive && PQisBusy(c_) == 1)
        return fail(lost(steady::now() >= until_ ? "no answer in time" : "it was closed"));
      continue;
    }
    if (reply r{PQgetResult(c_)})
      take(std::move(r));
    else if (PQstatus(c_) == CONNECTION_BAD)
      return fail(lost("it was closed"));
  }
  if (failed_) return fail(*failed_);
  if (on_.warned_) return fail(lost("it warned that standbys may lack the commit"));
  return std::move(replies_);
}

failure connection::end(failure why) {
  if (why.ends_connection()) raw_.reset();
  return why;
}

outcome<std::vector<std::string>> connection::notifications(int wake, steady::time_point until) {
  const auto closed = [this] {
    return fail(end({trouble::lost, errc::store_unavailable, "lost the connection to " + where_}));
  };
  if (!raw_) return closed();
  std::vector<std::string> out;
  const auto take = [&] {
    while (PGnotify* n = PQnotifies(raw_.get())) {
      out.emplace_back(n->extra == nullptr ? "" : n->extra);
      PQfreemem(n);
    }
  };
  take();  // they may have come with the answer of a statement
  const auto left = std::chrono::ceil<milliseconds>(until - steady::now());
  if (!out.empty() || left.count() <= 0) return out;
  std::array<pollfd, 2> waiting{pollfd{PQsocket(raw_.get()), POLLIN, 0}, pollfd{wake, POLLIN, 0}};
  ::poll(waiting.data(), waiting.size(), static_cast<int>(left.count()));
  if (waiting[0].revents != 0 && PQconsumeInput(raw_.get()) != 1) return closed();
  take();
  return out;
}

outcome<std::vector<reply>> connection::run(std::span<const query> queries, milliseconds limit) {
  if (!raw_)
    return fail(
        failure{trouble::lost, errc::store_unavailable, "the connection to " + where_ + " is closed"});
  warned_ = false;
  pipeline all(*this, steady::now() + limit);
  if (!all.send(queries))
    return fail(
        end({trouble::lost, errc::store_unavailable, "cannot send to " + where_ + ": it was closed", true}));
  auto replies = all.receive();
  if (!replies) return fail(end(std::move(replies).error()));
  return replies;
}

}  // namespace cpns::storage::postgres
