#include "cli/server_access.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>

#include "api/body.hpp"
#include "api/routes.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/stores.hpp"
#include "cli/terminal.hpp"

namespace cpns::cli {
namespace {

void sort_rows(boost::json::array& rows, const char* member) {
  std::sort(rows.begin(), rows.end(), [member](const auto& a, const auto& b) {
    return member_text(a.as_object(), member) < member_text(b.as_object(), member);
  });
}

}  // namespace

result<std::optional<api::client>> connect_if_running(const config::api_config& c) {
  if (!c.socket || has_no_room_for_socket(c)) return std::optional<api::client>{};
  auto connected = api::client::connect(c.socket->string());
  if (connected) return std::optional{std::move(*connected)};
  if (connected.error() == errc::peer_closed) return std::optional<api::client>{};
  return fail(std::move(connected).error());
}

command_failed::command_failed(const error& e) : text(e.message()), exists(e == errc::state_exists) {
  if (says_all(e)) text = e.detail;
  if (e.code == errc::config_usage) code = exit_usage;
}
command_failed::command_failed(const api::problem& p) : text(p.detail), exists(p.code == "state-exists") {
  if (p.code == "config-usage") code = exit_usage;
}

int report(const command_failed& why) {
  log::flush();
  std::cerr << "cpns: " << why.text << "\n";
  return why.code;
}

done_or<server_access> server_access::open(const role_options& o, bool changes) {
  CPNS_CHECK(check_naming(o));
  server_access out;
  if (o.names_running()) {
    CPNS_TRY(auto connected, connect_role(o));
    out.role_ = std::move(connected);
    return out;
  }
  const auto c = config::load_server(o.config);
  if (!c) return fail(command_failed{c.error().as_error()});
  CPNS_TRY(out.role_, connect_if_running(c->api));
  if (out.role_) return out;
  CPNS_TRY(auto store, open_server_store(*c));
  out.stopped_.emplace(audited_server{std::move(store), nullptr});
  if (changes) {
    CPNS_TRY(out.stopped_->trail, open_trail(*c, out.stopped_->store.sealed()));
  }
  return out;
}

done_or<boost::json::value> server_access::ask(api::verb v, const std::string& target, secret_bytes body) {
  CPNS_TRY(auto answer, ask_role(*role_, v, target, std::move(body)));
  return answer;
}

done_or<secret_bytes> server_access::ask_secret(api::verb v, const std::string& target, secret_bytes body) {
  api::sent_body sent;
  sent.content = std::move(body);
  CPNS_TRY(auto answer, role_->ask(v, target, sent));
  if (!answer.good()) return fail(command_failed{api::problem_of(answer)});
  auto out = secret_bytes::from_text(answer.body);
  wipe(answer.body);
  return out;
}

done_or<boost::json::array> server_access::list(const std::string& path, const std::string& query,
                                                const char* rows, const char* member_of_row,
                                                const page_reader& page, list_page* one) {
  boost::json::array out;
  std::uint64_t unreadable = 0;
  server::page_asked asked{api::page_limit_max, {}};
  const bool single = one != nullptr && one->limit > 0;
  if (single) asked = {one->limit, one->after};
  do {
    boost::json::object got;
    if (running()) {
      const auto target = path + "?limit=" + std::to_string(asked.limit) + query +
                          (asked.after.empty() ? "" : "&after=" + api::encode_percent(asked.after));
      CPNS_TRY(auto answer, ask(api::verb::get, target));
      got = std::move(answer.as_object());
    } else {
      CPNS_TRY(got, page(store(), asked));
    }
    for (auto& row : got.at(rows).as_array()) out.push_back(std::move(row));
    unreadable += got.at("unreadable").to_number<std::uint64_t>();
    asked.after = member_text(got, "next", "");
  } while (!asked.after.empty() && !single);
  if (single) one->next = asked.after;
  if (unreadable > 0)
    std::cerr << "cpns: warning: " << plural(unreadable, "row")
              << " cannot be read, and left out; `cpns doctor` on the stopped server says why\n";
  sort_rows(out, member_of_row);
  return out;
}

void add_page_options(CLI::App& c, list_page& to) {
  auto* limit =
      c.add_option("--limit", to.limit, "One page of at most this many rows, in the order of the store")
          ->check(CLI::Range(std::size_t{1}, std::size_t{api::page_limit_max}));
  c.add_option("--after", to.after, "The page behind the one that ended with this `next`")->needs(limit);
}

void print_rows(const char* rows, boost::json::array found, const list_page& one) {
  boost::json::object out{{rows, std::move(found)}};
  if (one.limit > 0) out["next"] = one.next.empty() ? boost::json::value() : boost::json::value(one.next);
  print_answer(out);
}

void print_next(const list_page& one) {
  if (!one.next.empty())
    std::cerr << "more rows follow: --limit " << one.limit << " --after " << one.next << "\n";
}

void print_answer(const boost::json::value& v) { std::cout << boost::json::serialize(v) << "\n"; }

void print_done(bool json, const std::string& text) {
  if (json) return print_answer(boost::json::object{{"done", true}});
  std::cout << text << "\n";
}

std::string member_text(const boost::json::object& o, const char* member, const char* otherwise) {
  const auto* v = o.if_contains(member);
  if (v == nullptr || v->is_null()) return otherwise;
  if (!v->is_string()) return boost::json::serialize(*v);
  return without_controls({v->get_string().data(), v->get_string().size()});
}

std::string member_time(const boost::json::object& o, const char* member, const char* otherwise) {
  constexpr std::size_t date = 10, clock = 8;
  const auto text = member_text(o, member, "");
  if (text.size() < date + 1 + clock) return otherwise;
  return text.substr(0, date) + " " + text.substr(date + 1, clock) + "Z";
}

}  // namespace cpns::cli
