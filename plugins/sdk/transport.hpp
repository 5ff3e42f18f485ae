#pragma once
// For authors of radios in C++: derive from `radio`, and name the class in CPNS_TRANSPORT. Exceptions that
// leave a member end as a log line and CPNS_ERROR; none crosses the C boundary. Everything here is
// header-only and needs plugins/abi alone.

#include <charconv>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "plugins/abi/transport.h"

namespace cpns::sdk {

/// A parameter cannot be used: open ends with CPNS_BAD_PARAMETER and these words.
struct bad_parameter : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The radio cannot be used: open ends with CPNS_UNAVAILABLE and these words.
struct unavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What the host offers. A thin copyable view; valid until close has returned. [any-thread]
class host {
 public:
  explicit host(const cpns_host* table) : table_(table) {}
  void link_up(std::uint64_t link, std::uint64_t endpoint, const std::string& address) const {
    table_->link_up(table_->context, link, endpoint, address.c_str());
  }
  void link_down(std::uint64_t link, cpns_down_reason why, const std::string& detail = {}) const {
    table_->link_down(table_->context, link, why, detail.c_str());
  }
  void frame(std::uint64_t link, std::span<const std::uint8_t> data) const {
    table_->frame(table_->context, link, data.data(), data.size());
  }
  void writable(std::uint64_t link) const { table_->writable(table_->context, link); }
  void peer_found(const std::string& address, std::int32_t rssi) const {
    table_->peer_found(table_->context, address.c_str(), rssi);
  }
  void failed(const std::string& why) const { table_->failed(table_->context, why.c_str()); }
  void log(cpns_log_level level, const std::string& text) const {
    table_->log(table_->context, level, text.c_str());
  }
  [[nodiscard]] const void* extension(const char* id) const {
    return table_->get_extension(table_->context, id);
  }

 private:
  const cpns_host* table_;
};

/// The parameters of open. Each is taken once; `finish` refuses what nobody took.
class parameters {
 public:
  explicit parameters(const cpns_open_args& args) {
    for (std::size_t i = 0; i < args.parameter_count; ++i)
      values_[args.parameters[i].name] = args.parameters[i].value;
  }
  std::string text(const std::string& name, std::string otherwise) {
    known_.insert(name);
    const auto it = values_.find(name);
    return it == values_.end() ? std::move(otherwise) : it->second;
  }
  std::uint64_t number(const std::string& name, std::uint64_t otherwise, std::uint64_t min,
                       std::uint64_t max) {
    const auto value = text(name, std::to_string(otherwise));
    std::uint64_t out = 0;
    const auto [end, wrong] = std::from_chars(value.data(), value.data() + value.size(), out);
    if (wrong != std::errc{} || end != value.data() + value.size() || out < min || out > max)
      throw bad_parameter{"parameter " + name + " is '" + value + "', it must be a number from " +
                          std::to_string(min) + " to " + std::to_string(max)};
    return out;
  }
  void finish() const {
    for (const auto& [name, value] : values_) {
      if (known_.count(name) != 0) continue;
      std::string names;
      for (const auto& k : known_) names += (names.empty() ? "" : ", ") + k;
      throw bad_parameter{"parameter " + name + " is not known; there are " + names};
    }
  }

 private:
  std::map<std::string, std::string> values_;
  std::set<std::string> known_;
};

/// One open radio. The threads and states of each member are those of plugins/abi/transport.h. The destructor
/// runs inside close, after stop(): no callback may come once stop() has returned.
class radio {
 public:
  virtual ~radio() = default;
  virtual void limits(cpns_limits& out) = 0;
  virtual cpns_status scan(bool) { return CPNS_UNSUPPORTED; }
  virtual cpns_status add_endpoint(std::uint64_t, std::string_view) { return CPNS_UNSUPPORTED; }
  virtual void remove_endpoint(std::uint64_t) {}
  virtual cpns_status connect(std::string_view) { return CPNS_UNSUPPORTED; }
  virtual cpns_status send(std::uint64_t link, std::span<const std::uint8_t> frame) = 0;
  virtual void disconnect(std::uint64_t link) = 0;
  virtual void stop() = 0;
  virtual const void* extension(std::string_view) { return nullptr; }
};

namespace detail {

struct instance {
  cpns_transport table{};
  host out;
  std::unique_ptr<radio> impl;
};

inline instance& self(void* context) noexcept { return *static_cast<instance*>(context); }

template <class Call>
cpns_status guarded(const host& out, const char* what, Call call) noexcept {
  try {
    return call();
  } catch (const bad_parameter& e) {
    out.log(CPNS_LOG_ERROR, e.what());
    return CPNS_BAD_PARAMETER;
  } catch (const unavailable& e) {
    out.log(CPNS_LOG_ERROR, e.what());
    return CPNS_UNAVAILABLE;
  } catch (const std::exception& e) {
    out.log(CPNS_LOG_ERROR, std::string{what} + ": " + e.what());
  } catch (...) {
    out.log(CPNS_LOG_ERROR, std::string{what} + ": unknown exception");
  }
  return CPNS_ERROR;
}

inline cpns_transport make_table(instance* i) noexcept {
  return {
      sizeof(cpns_transport),
      0,
      i,
      [](void* c, cpns_limits* out) {
        guarded(self(c).out, "limits", [&] { return self(c).impl->limits(*out), CPNS_OK; });
      },
      [](void* c, bool on) { return guarded(self(c).out, "scan", [&] { return self(c).impl->scan(on); }); },
      [](void* c, std::uint64_t endpoint, const char* name) {
        return guarded(self(c).out, "add_endpoint",
                       [&] { return self(c).impl->add_endpoint(endpoint, name ? name : ""); });
      },
      [](void* c, std::uint64_t endpoint) {
        guarded(self(c).out, "remove_endpoint",
                [&] { return self(c).impl->remove_endpoint(endpoint), CPNS_OK; });
      },
      [](void* c, const char* address) {
        return guarded(self(c).out, "connect", [&] { return self(c).impl->connect(address ? address : ""); });
      },
      [](void* c, std::uint64_t link, const std::uint8_t* data, std::size_t size) {
        return guarded(self(c).out, "send", [&] { return self(c).impl->send(link, {data, size}); });
      },
      [](void* c, std::uint64_t link) {
        guarded(self(c).out, "disconnect", [&] { return self(c).impl->disconnect(link), CPNS_OK; });
      },
      [](void* c) {
        const std::unique_ptr<instance> last{&self(c)};
        guarded(last->out, "close", [&] { return last->impl->stop(), CPNS_OK; });
      },
      [](void* c, const char* id) -> const void* {
        const void* found = nullptr;
        guarded(self(c).out, "get_extension",
                [&] { return found = self(c).impl->extension(id ? id : ""), CPNS_OK; });
        return found;
      }};
}

}  // namespace detail

/// How a radio is made: `std::unique_ptr<radio> make(host, cpns_role, parameters&, bool probe)`, which may
/// throw.
using make_fn = std::unique_ptr<radio> (*)(host out, cpns_role as, parameters& params, bool probe);

template <make_fn Make>
cpns_status open(const cpns_host* table, const cpns_open_args* args, const cpns_transport** out) noexcept {
  if (table == nullptr || args == nullptr || out == nullptr || table->size < sizeof(cpns_host) ||
      args->size < sizeof(cpns_open_args))
    return CPNS_ERROR;
  const host h{table};
  return detail::guarded(h, "open", [&] {
    parameters params{*args};
    auto made = std::make_unique<detail::instance>(detail::instance{{}, h, nullptr});
    made->impl = Make(h, static_cast<cpns_role>(args->role), params, args->probe);
    made->table = detail::make_table(made.get());
    *out = &made.release()->table;
    return CPNS_OK;
  });
}

}  // namespace cpns::sdk

/// Defines the exported entry. `make` is a make_fn.
#define CPNS_TRANSPORT(name, version, description, make)                                                     \
  extern "C" const cpns_transport_entry_t cpns_transport_entry = {                                           \
      sizeof(cpns_transport_entry_t), CPNS_ABI_MAJOR, CPNS_ABI_MINOR, 0, name, version, description,         \
      &::cpns::sdk::open<make>};
