#include "metrics/registry.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <iterator>
#include <mutex>
#include <sstream>

namespace cpns::metrics {

void counter::add(std::uint64_t n) const noexcept {
  if (to_ != nullptr) to_->Increment(static_cast<double>(n));
}
void gauge::set(double value) const noexcept {
  if (to_ != nullptr) to_->Set(value);
}
void gauge::add(double value) const noexcept {
  if (to_ != nullptr) to_->Increment(value);
}
void histogram::observe(double value) const {
  if (to_ != nullptr) to_->Observe(value);
}

struct sheet::impl {
  std::vector<prometheus::MetricFamily> families;

  prometheus::ClientMetric& add(const std::string& name, const std::string& help, prometheus::MetricType type,
                                const labels& of) {
    auto at =
        std::find_if(families.begin(), families.end(), [&name](const auto& f) { return f.name == name; });
    if (at == families.end()) at = families.insert(at, {name, help, type, {}});
    auto& made = at->metric.emplace_back();
    for (const auto& [label, value] : of) made.label.push_back({label, value});
    return made;
  }
};

sheet::sheet() : impl_(std::make_unique<impl>()) {}
sheet::~sheet() = default;

void sheet::counter(const std::string& name, const std::string& help, double value, const labels& of) {
  impl_->add(name, help, prometheus::MetricType::Counter, of).counter.value = value;
}
void sheet::gauge(const std::string& name, const std::string& help, double value, const labels& of) {
  impl_->add(name, help, prometheus::MetricType::Gauge, of).gauge.value = value;
}

struct registry::impl {
  prometheus::Registry held;
  mutable std::mutex guard;
  std::vector<std::function<void(sheet&)>> fills;
};

registry::registry() : impl_(std::make_unique<impl>()) {}
registry::~registry() = default;

counter registry::make_counter(const std::string& name, const std::string& help, const labels& of) {
  return counter{&prometheus::BuildCounter().Name(name).Help(help).Register(impl_->held).Add(of)};
}
gauge registry::make_gauge(const std::string& name, const std::string& help, const labels& of) {
  return gauge{&prometheus::BuildGauge().Name(name).Help(help).Register(impl_->held).Add(of)};
}
histogram registry::make_histogram(const std::string& name, const std::string& help,
                                   const std::vector<double>& bounds, const labels& of) {
  return histogram{&prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->held).Add(of, bounds)};
}

void registry::collect(std::function<void(sheet&)> fill) {
  const std::lock_guard lock{impl_->guard};
  impl_->fills.push_back(std::move(fill));
}

std::string registry::text() const {
  std::vector<std::function<void(sheet&)>> fills;
  {
    const std::lock_guard lock{impl_->guard};
    fills = impl_->fills;
  }
  sheet now;
  for (const auto& fill : fills) fill(now);
  auto all = impl_->held.Collect();
  all.insert(all.end(), std::make_move_iterator(now.impl_->families.begin()),
             std::make_move_iterator(now.impl_->families.end()));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::ostringstream out;
  prometheus::TextSerializer{}.Serialize(out, all);
  return std::move(out).str();
}

}  // namespace cpns::metrics
