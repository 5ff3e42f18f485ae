#include "actors/pn_gw/open_reports.hpp"

#include <algorithm>
#include <iterator>

#include "base/cbor.hpp"
#include "protocol/fields.hpp"

namespace cpns::actors {
namespace {

constexpr std::uint64_t reports_schema = 1;

/// As the record stores it.
std::int64_t stored_date(std::int64_t unix_ms) { return std::max<std::int64_t>(unix_ms, 0); }

}  // namespace

bool settled_reports::is_open(std::int64_t keyed_since) const {
  return keyed_since >= before || std::binary_search(exceptions.begin(), exceptions.end(), keyed_since);
}

secret_bytes encode(const settled_reports& s) {
  cbor::writer w;
  w.array(3).uint(reports_schema).uint(static_cast<std::uint64_t>(s.before)).array(s.exceptions.size());
  for (const auto date : s.exceptions) w.uint(static_cast<std::uint64_t>(date));
  return secret_bytes{w.take()};
}

result<settled_reports> decode_settled_reports(byte_view in) {
  cbor::reader r{in};
  settled_reports out;
  CPNS_CHECK(r.array_of("settled reports", 3));
  CPNS_CHECK(protocol::read_schema(r, "settled reports", reports_schema));
  CPNS_TRY(out.before, protocol::read_time(r, "settled reports.before"));
  CPNS_TRY(const auto n, r.array("settled reports.exceptions", 0, settled_reports::exceptions_max));
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(const auto date, protocol::read_time(r, "settled reports.exceptions"));
    if (!out.exceptions.empty() && date < out.exceptions.back())
      return fail(errc::store_damaged, "settled reports.exceptions: not in ascending order");
    out.exceptions.push_back(date);
  }
  CPNS_CHECK(r.end("settled reports"));
  return out;
}

void open_reports::begin(const settled_reports& stored) {
  known_ = true;
  durable_at_most_ = last_before_ = stored.before;
  newest_ = std::max(newest_, stored.before - 1);
}

void open_reports::found(const std::string& entity, std::int64_t keyed_since) {
  open(of_[entity], keyed_since);
}

open_reports::change open_reports::write(const std::string& entity, std::optional<std::int64_t> keyed_since) {
  change out;
  const auto date = keyed_since ? std::optional{stored_date(*keyed_since)} : std::nullopt;
  if (const auto at = of_.find(entity); at != of_.end())
    std::copy_if(at->second.begin(), at->second.end(), std::back_inserter(out.replaced),
                 [&date](std::int64_t d) { return d != date; });
  if (date) open(of_[entity], *date);
  if (row_is_due() || (date && *date < durable_at_most_)) add_row(out);
  return out;
}

void open_reports::written(const std::string& entity, const change& done) {
  if (done.row && done.number == rows_) durable_at_most_ = last_before_;
  const auto at = of_.find(entity);
  if (at == of_.end()) return;
  for (const auto date : done.replaced) close(at->second, date);
  if (at->second.empty()) of_.erase(at);
}

open_reports::change open_reports::answered(const std::string& entity) {
  change out;
  const auto at = of_.find(entity);
  if (at == of_.end()) return out;
  while (!at->second.empty()) close(at->second, at->second.back());
  of_.erase(at);
  if (row_is_due()) add_row(out);
  return out;
}

void open_reports::open(dates& of, std::int64_t date) {
  if (std::find(of.begin(), of.end(), date) != of.end()) return;
  of.push_back(date);
  all_.insert(date);
  newest_ = std::max(newest_, date);
}

void open_reports::close(dates& of, std::int64_t date) {
  const auto at = std::find(of.begin(), of.end(), date);
  if (at == of.end()) return;
  of.erase(at);
  all_.erase(all_.find(date));
  ++answers_;
}

/// True for the store when all writes so far are in it.
settled_reports open_reports::now() const {
  settled_reports out;
  if (!known_) return out;
  const bool fit = all_.size() <= settled_reports::exceptions_max;
  const auto end = fit ? all_.end() : std::next(all_.begin(), settled_reports::exceptions_max);
  out.exceptions.assign(all_.begin(), end);
  out.before = fit ? newest_ + 1 : *end;
  return out;
}

bool open_reports::row_is_due() const {
  return known_ && answers_ >= answers_per_row && now().before > last_before_;
}

void open_reports::add_row(change& to) {
  to.row = now();
  to.number = ++rows_;
  answers_ = 0;
  last_before_ = to.row->before;
  durable_at_most_ = std::max(durable_at_most_, last_before_);
}

}  // namespace cpns::actors
