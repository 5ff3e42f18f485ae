#include "cli/device_import.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>
#include <optional>
#include <thread>
#include <utility>

#include "api/routes.hpp"
#include "audit/line.hpp"
#include "base/text.hpp"
#include "cli/server_access.hpp"
#include "cli/terminal.hpp"
#include "crypto/suite.hpp"
#include "server/device_parser.hpp"
#include "server/import_routes.hpp"

namespace cpns::cli {
namespace {

namespace json = boost::json;
using answer = imports_end::answer;
using steady = std::chrono::steady_clock;

constexpr std::size_t part_max = 512U << 10;  ///< bytes of one request
constexpr milliseconds patience = seconds{60}, turn_patience = std::chrono::minutes{10};
constexpr milliseconds reconnect_every{500}, poll_first{5}, poll_longest{250};
constexpr int conflicts_max = 60;
constexpr std::size_t page_rows = 1000;
constexpr std::uint64_t stretched_silently = 20;
constexpr std::uint64_t stretch_milliseconds = 150;

std::uint64_t number(const json::value& v, const char* key) {
  return v.as_object().at(key).to_number<std::uint64_t>();
}
std::string text(const json::value& v, const char* key) {
  const auto* s = v.as_object().at(key).if_string();
  return s == nullptr ? std::string{} : std::string{s->data(), s->size()};
}

bool is_broken(const api::problem& p) { return p.code == "peer-closed" || p.code == "peer-timeout"; }

secret_bytes body_of(const json::object& o) { return secret_bytes::from_text(json::serialize(o)); }

/// Holds the part that was read last, which is sent again after a broken connection.
class list_part {
 public:
  list_part() = default;
  ~list_part() { wipe(bytes_); }
  list_part(const list_part&) = delete;
  list_part& operator=(const list_part&) = delete;

  /// A pipe gives less at a time than a file; its bytes are sent as they come.
  result<bool> read(const byte_source& from) {
    begin_ += size_;
    size_ = 0;
    CPNS_TRY(size_, from(bytes_));
    return size_ > 0;
  }
  void begin_at(std::uint64_t offset) {
    begin_ = offset;
    size_ = 0;
  }
  [[nodiscard]] std::uint64_t end() const { return begin_ + size_; }
  [[nodiscard]] bool holds(std::uint64_t offset) const { return offset >= begin_ && offset <= end(); }
  [[nodiscard]] secret_bytes from(std::uint64_t offset) const {
    return secret_bytes{byte_view{bytes_}.first(size_).subspan(static_cast<std::size_t>(offset - begin_))};
  }

 private:
  bytes bytes_ = bytes(part_max);
  std::uint64_t begin_ = 0;
  std::size_t size_ = 0;
};

class transfer {
 public:
  transfer(imports_end& to, import_request r) : to_(to), r_(std::move(r)), path_("/v1/imports/" + r_.name) {}

  tl::expected<import_report, api::problem> run(const row_printer& print) {
    CPNS_TRY(auto now, begin());
    if (text(now, "state") == "done") ended_before_ = text(now, "changed");
    if (text(now, "state") == "receiving") {
      CPNS_TRY(now, send(number(now, "bytes")));
    }
    CPNS_TRY(now, wait_for_end(now));
    clear_status();
    const auto printed = [&]() -> tl::expected<void, api::problem> {
      CPNS_CHECK(list_accepted(now));
      return print_rows(now, print);
    }();
    if (!to_.keeps_results()) {
      CPNS_CHECK(ask(api::verb::del, path_));
    }
    CPNS_CHECK(printed);
    return import_report{number(now, "imported"), number(now, "bad"), ended_before_};
  }

 private:
  answer ask(api::verb v, const std::string& target, const json::object* body = nullptr) {
    for (;;) {
      auto got = to_.ask(v, target, body == nullptr ? secret_bytes{} : body_of(*body), "application/json");
      if (got || !is_broken(got.error())) return got;
      if (auto again = reconnect(got.error()); !again) return fail(std::move(again).error());
    }
  }

  [[nodiscard]] status go_on() const {
    if (r_.stop && r_.stop()) return fail(errc::state_stopping, "interrupted");
    return {};
  }

  tl::expected<void, api::problem> reconnect(const api::problem& why) {
    if (!std::exchange(said_broken_, true)) {
      clear_status();
      std::cerr << "cpns: " << why.detail << "; trying again\n";
    }
    for (const auto until = steady::now() + patience; steady::now() < until;) {
      if (to_.connect_again()) return {};
      std::this_thread::sleep_for(reconnect_every);
    }
    return api::refuse(400, "peer-closed",
                       why.detail + "; repeat the command to go on where the import stands");
  }

  /// The import as it stands, or a new one. One that was refused begins again: its cause may be gone.
  answer begin() {
    auto found = ask(api::verb::get, path_);
    if (found && text(*found, "state") != "refused") return found;
    if (!found && found.error().code != "state-unknown") return found;
    if (found) {
      CPNS_CHECK(ask(api::verb::del, path_));
    }
    const auto& o = r_.options;
    const json::object wanted{{"import", r_.name},
                              {"batch", o.batch},
                              {"partial", o.partial},
                              {"replace", o.replace},
                              {"presence", o.require_presence},
                              {"allow_constant", o.allow_constant},
                              {"allow_repeats", o.allow_repeats}};
    auto made = ask(api::verb::post, "/v1/imports", &wanted);
    // The answer to the first attempt may have been lost.
    if (!made && made.error().code == "state-exists") return ask(api::verb::get, path_);
    return made;
  }

  status skip_to(std::uint64_t offset, list_part& part) {
    if (offset == 0) return {};
    if (r_.seek && r_.seek(offset)) {
      part.begin_at(offset);
      return {};
    }
    while (part.end() < offset) {
      CPNS_TRY(const bool more, part.read(r_.source));
      if (!more)
        return fail(errc::state_conflict, r_.file + ": the file is shorter than when its import began");
    }
    return {};
  }

  answer send(std::uint64_t offset) {
    list_part part;
    CPNS_CHECK(skip_to(offset, part));
    answer now = json::value{};
    for (;;) {
      CPNS_CHECK(go_on());
      if (offset == part.end()) {
        CPNS_TRY(const bool more, part.read(r_.source));
        if (!more) break;
      }
      CPNS_TRY(now, send_part(part, offset));
      if (text(*now, "state") != "receiving") return now;
      offset = number(*now, "bytes");
      if (!part.holds(offset)) CPNS_CHECK(skip_to(offset, part));
      show_status("sent " + std::to_string(offset >> 20) + " MiB, " +
                  std::to_string(number(*now, "good") + number(*now, "bad")) + " rows");
    }
    bytes_ = offset;
    CPNS_TRY(now, ask(api::verb::get, path_));
    warn_of_stretching(number(*now, "stretched"));
    return finish();
  }

  answer send_part(const list_part& part, std::uint64_t offset) {
    auto got = to_.ask(api::verb::put, path_ + "/rows?offset=" + std::to_string(offset), part.from(offset),
                       "text/csv");
    if (got) {
      full_since_.reset();
      return got;
    }
    if (is_broken(got.error())) {
      if (auto again = reconnect(got.error()); !again) return fail(std::move(again).error());
      return ask(api::verb::get, path_);
    }
    if (got.error().code == "too-many-at-once") return wait_for_turn(got.error());
    // The request of a command that was killed may still be at work.
    if (got.error().code == "state-conflict" && conflicts_++ < conflicts_max) {
      std::this_thread::sleep_for(reconnect_every);
      return ask(api::verb::get, path_);
    }
    // An error of the list refuses the import, which then tells the line.
    auto now = ask(api::verb::get, path_);
    if (now && text(*now, "state") == "refused") return now;
    return got;
  }

  /// The server receives other lists. It has closed this connection.
  answer wait_for_turn(const api::problem& why) {
    if (!full_since_) full_since_ = steady::now();
    if (steady::now() - *full_since_ > turn_patience) return fail(why);
    show_status("waits: the server receives other lists");
    std::this_thread::sleep_for(reconnect_every);
    to_.connect_again();
    return ask(api::verb::get, path_);
  }

  answer finish() {
    const json::object wanted{{"bytes", bytes_}};
    return ask(api::verb::post, path_ + "/finish", &wanted);
  }

  static void warn_of_stretching(std::uint64_t keys) {
    if (keys > stretched_silently)
      std::cerr << "cpns: stretching " << keys << " keys takes about "
                << (keys * stretch_milliseconds + 999) / 1000 << " seconds\n";
  }

  answer wait_for_end(json::value now) {
    auto every = poll_first;
    for (;;) {
      CPNS_CHECK(go_on());
      const auto state = text(now, "state");
      if (state == "done" || state == "refused") return now;
      const auto* why = now.as_object().at("problem").if_object();
      if (state == "receiving") {
        if (why != nullptr) return fail(api::problem{500, text(*why, "code"), text(*why, "detail")});
        bytes_ = number(now, "bytes");
        CPNS_TRY(now, finish());  // the server ended during the check
        continue;
      }
      if (why != nullptr && said_ != text(*why, "detail"))
        std::cerr << "cpns: " << (said_ = text(*why, "detail")) << "\n";
      show_progress(state, now);
      std::this_thread::sleep_for(every);
      every = std::min(2 * every, poll_longest);
      CPNS_TRY(now, ask(api::verb::get, path_));
    }
  }

  static void show_progress(const std::string& state, const json::value& now) {
    const bool checks = state == "checking";  // good rows and bad ones
    const auto all = number(now, "good") + (checks ? number(now, "bad") : 0);
    const auto part = number(now, checks ? "checked" : "imported");
    show_status(state + " " + bar(part, all) + " " + std::to_string(part) + " of " + std::to_string(all));
  }

  /// The error of a list as a whole.
  tl::expected<void, api::problem> list_accepted(const json::value& now) const {
    const auto* why = now.as_object().at("problem").if_object();
    if (text(now, "state") != "refused" || why == nullptr) return {};
    const auto* line = why->if_contains("line");
    const auto at = line == nullptr ? 0 : line->to_number<std::size_t>();
    return fail(api::problem{400, text(*why, "code"), server::fault_in(r_.file, at, text(*why, "detail"))});
  }

  tl::expected<void, api::problem> print_rows(const json::value& now, const row_printer& print) {
    std::string after;
    std::uint64_t listed = 0;
    do {
      CPNS_TRY(const auto page, ask(api::verb::get, path_ + "/results?limit=" + std::to_string(page_rows) +
                                                        (after.empty() ? "" : "&after=" + after)));
      for (const auto& x : page.as_object().at("results").as_array()) {
        listed += text(x, "kind") == "bad" ? 1 : 0;
        print(server::row_diagnostic{number(x, "line"), text(x, "entity"), text(x, "text")}.in(r_.file));
      }
      after = text(page, "next");
    } while (!after.empty());
    if (const auto bad = number(now, "bad"); bad > listed)
      print(r_.file + ": " + plural(bad - listed, "more row") + (bad - listed == 1 ? " is" : " are") +
            " left out, and not listed");
    return {};
  }

  imports_end& to_;
  import_request r_;
  const std::string path_;
  std::uint64_t bytes_ = 0;
  bool said_broken_ = false;
  int conflicts_ = 0;
  std::optional<steady::time_point> full_since_;
  std::string said_, ended_before_;
};

class running_end final : public imports_end {
 public:
  using dial = std::function<result<api::client>()>;
  running_end(dial how, api::client first) : dial_(std::move(how)), client_(std::move(first)) {}

  answer ask(api::verb v, const std::string& target, const secret_bytes& body,
             const std::string& type) override {
    CPNS_TRY(const auto got, client_.ask(v, target, {.type = type, .content = body}));
    if (!got.good()) return fail(api::problem_of(got));
    if (got.body.empty()) return json::value{};
    boost::system::error_code ec;
    auto parsed = json::parse(got.body, ec);
    if (ec) return api::refuse(500, "internal", "the answer of the server is not JSON");
    return parsed;
  }
  bool connect_again() override {
    auto again = dial_();
    if (again) client_ = std::move(*again);
    return again.has_value();
  }
  [[nodiscard]] bool keeps_results() const override { return true; }

 private:
  const dial dial_;
  api::client client_;
};

/// The lines of this command in the audit trail of a stopped server.
class command_log final : public api::change_log {
 public:
  explicit command_log(audit::trail& to) : trail_(to) {}
  result<number> begin(const api::change& c) override {
    CPNS_TRY(ticket_, trail_.begin(change_by_command(c.action.c_str(), c.object, c.before, c.wanted)));
    return number{1};
  }
  void finish(number /*intent*/, const api::problem* refused, const json::value& after) override {
    audit::outcome o;
    o.after = after;
    if (refused != nullptr) {
      o.is = verdict_of(*refused);
      o.reason = refused->detail;
    }
    static_cast<void>(trail_.finish(std::move(ticket_), o));  // logs by itself; the line waits then
  }
  void refused(const api::change& /*c*/, const api::problem& /*why*/) override {}

 private:
  audit::trail& trail_;
  audit::ticket ticket_;
};

class part_source final : public api::body_source {
 public:
  explicit part_source(byte_view all) : left_(all) {}
  result<std::size_t> read(std::span<std::uint8_t> to) override {
    const auto n = std::min(to.size(), left_.size());
    std::copy_n(left_.begin(), n, to.begin());
    left_ = left_.subspan(n);
    return n;
  }
  [[nodiscard]] std::optional<std::uint64_t> length() const override { return left_.size(); }

 private:
  byte_view left_;
};

class stopped_end final : public imports_end {
 public:
  stopped_end(audit::trail& trail, std::unique_ptr<server::device_imports> imports)
      : log_(trail), imports_(std::move(imports)) {
    imports_->record_in(&log_);
    routes_.add(server::import_routes(*imports_));
  }

  answer ask(api::verb v, const std::string& target, const secret_bytes& body,
             const std::string& type) override {
    const auto mark = std::min(target.find('?'), target.size());
    const auto found = routes_.find(v, target.substr(0, mark));
    api::request r;
    r.verb = v;
    r.path_values = found.values;
    r.query = api::parse_query(target.substr(std::min(mark + 1, target.size()))).value_or(api::text_map{});
    r.content_type = type;
    part_source part{body.expose()};
    if (!found.to->handle_stream) r.body = body;
    const auto got = found.to->handle_stream ? found.to->handle_stream(r, part) : found.to->handle(r);
    if (!got) return fail(got.error());
    if (got->body.empty()) return json::value{};
    return json::parse(got->body);
  }
  bool connect_again() override { return false; }
  [[nodiscard]] bool keeps_results() const override { return false; }

 private:
  command_log log_;
  std::unique_ptr<server::device_imports> imports_;  ///< ends its thread before log_ goes
  api::route_table routes_;
};

}  // namespace

result<std::unique_ptr<imports_end>> running_imports(const role_options& o) {
  CPNS_TRY(auto client, connect_role(o));
  return std::make_unique<running_end>([o] { return connect_role(o); }, std::move(client));
}

result<std::unique_ptr<imports_end>> running_imports(const config::server_config& c) {
  CPNS_TRY(auto client, connect_if_running(c.api));
  if (!client) return std::unique_ptr<imports_end>{};
  return std::make_unique<running_end>([api = c.api] { return connect_role(api); }, std::move(*client));
}

result<std::unique_ptr<imports_end>> stopped_imports(audited_server& to) {
  CPNS_TRY(auto imports, server::device_imports::open(to.store.sealed(), crypto::openssl_suite(),
                                                      crypto::system_entropy()));
  return std::make_unique<stopped_end>(*to.trail, std::move(imports));
}

tl::expected<import_report, api::problem> import_devices(imports_end& to, import_request r,
                                                         const row_printer& print) {
  r.options.batch = audit::clean_text(r.options.batch, 255);
  auto done = transfer{to, std::move(r)}.run(print);
  clear_status();
  return done;
}

result<std::string> import_name(const private_file& file, const server::import_options& o) {
  struct stat s {};
  if (::fstat(file.fd(), &s) != 0) return fail(errc::config_file, file.name() + ": cannot be examined");
  auto& random = crypto::system_entropy();
  if (!S_ISREG(s.st_mode)) return "pipe-" + to_hex(random.draw<8>());
  std::string all = o.batch;
  for (const std::int64_t n :
       {static_cast<std::int64_t>(s.st_dev), static_cast<std::int64_t>(s.st_ino),
        static_cast<std::int64_t>(s.st_size), static_cast<std::int64_t>(s.st_mtim.tv_sec),
        static_cast<std::int64_t>(s.st_mtim.tv_nsec)})
    all += " " + std::to_string(n);
  for (const bool b : {o.partial, o.require_presence, o.replace, o.allow_constant, o.allow_repeats})
    all += b ? "1" : "0";
  const auto sum = crypto::openssl_suite().sha256(as_bytes(all));
  return "file-" + to_hex(byte_view{sum}.first(8));
}

}  // namespace cpns::cli
