#pragma once
// For authors of radios in C++: derive from `radio`, and give CPNS_TRANSPORT a function that makes your radio. An
// exception that leaves a member becomes a log line and CPNS_ERROR; none crosses the C boundary. Header-only;
// depends only on the interface's headers.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "../abi/transport.h"
#include "parameters.hpp"

namespace cpns::sdk {

/// The radio cannot be used: open logs the text and returns CPNS_UNAVAILABLE.
struct unavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The host's functions. A thin copyable view; valid until close has returned. [any-thread]
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
  /// No effect with a host of interface 1.0.
  void connect_failed(const std::string& address, const std::string& why) const {
    if (CPNS_HAS(table_, connect_failed))
      table_->connect_failed(table_->context, address.c_str(), why.c_str());
  }
  [[nodiscard]] const void* extension(const char* id) const {
    return table_->get_extension(table_->context, id);
  }
  /// The extension `id` as the struct that this radio was built with; nullptr if the host lacks it or has an older
  /// one.
  template <class Extension>
  [[nodiscard]] const Extension* find(const char* id) const {
    const auto* found = static_cast<const Extension*>(extension(id));
    return found != nullptr && found->size >= sizeof(Extension) ? found : nullptr;
  }
  /// The first argument of an extension's functions.
  [[nodiscard]] void* context() const { return table_->context; }

 private:
  const cpns_host* table_;
};

/// One open radio. For threads and states of each member see ../abi/transport.h. The destructor runs inside
/// close, after stop(); no callback may run once stop() has returned.
class radio {
 public:
  virtual ~radio() = default;
  /// Sets all members but `size`.
  virtual void limits(cpns_limits& out) = 0;
  virtual cpns_status scan(bool) { return CPNS_UNSUPPORTED; }
  virtual cpns_status add_endpoint(std::uint64_t, std::string_view) { return CPNS_UNSUPPORTED; }
  virtual void remove_endpoint(std::uint64_t) {}
  virtual cpns_status connect(std::string_view) { return CPNS_UNSUPPORTED; }
  virtual cpns_status send(std::uint64_t link, std::span<const std::uint8_t> frame) = 0;
  virtual void disconnect(std::uint64_t link) = 0;
  virtual void cancel(std::string_view) {}
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
        cpns_limits all{};
        const auto fits = std::min(out->size, static_cast<std::uint32_t>(sizeof all));
        all.size = fits;
        guarded(self(c).out, "limits", [&] { return self(c).impl->limits(all), CPNS_OK; });
        all.size = fits;  // a radio may have assigned the whole struct
        std::memcpy(out, &all, fits);
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
      },
      [](void* c, const char* address) {
        guarded(self(c).out, "cancel", [&] { return self(c).impl->cancel(address ? address : ""), CPNS_OK; });
      }};
}

}  // namespace detail

/// Makes a radio; may throw bad_parameter and unavailable.
using make_fn = std::unique_ptr<radio> (*)(host out, cpns_role as, const parameters& params, bool probe);

template <const auto& Specs>
inline constexpr cpns_parameter_list list_of{Specs.data(), static_cast<std::uint32_t>(Specs.size()),
                                             sizeof(cpns_parameter_spec)};

/// The entry's open. Accepts hosts of interface 1.0 and up.
template <make_fn Make, const auto& Specs>
cpns_status open(const cpns_host* table, const cpns_open_args* args, const cpns_transport** out) noexcept {
  if (table == nullptr || args == nullptr || out == nullptr || !CPNS_HAS(table, get_extension) ||
      args->size < sizeof(cpns_open_args))
    return CPNS_ERROR;
  const host h{table};
  if (args->role != CPNS_ROLE_CENTRAL && args->role != CPNS_ROLE_PERIPHERAL) {
    h.log(CPNS_LOG_ERROR, "unknown role " + std::to_string(args->role));
    return CPNS_UNSUPPORTED;
  }
  return detail::guarded(h, "open", [&] {
    constexpr const auto& known = list_of<Specs>;
    if (const auto wrong = cpns_parameters_check(&known, table, args); wrong != CPNS_OK) return wrong;
    auto made = std::make_unique<detail::instance>(detail::instance{{}, h, nullptr});
    try {
      made->impl = Make(h, static_cast<cpns_role>(args->role), parameters{known, *args}, args->probe);
    } catch (const bad_parameter& e) {
      return cpns_parameter_refuse(table, e.parameter.c_str(), e.must.c_str());
    }
    made->table = detail::make_table(made.get());
    *out = &made.release()->table;
    return CPNS_OK;
  });
}

}  // namespace cpns::sdk

/// Defines the exported entry. `specs` is a constexpr std::array of cpns_parameter_spec, `make` a make_fn.
#define CPNS_TRANSPORT(name, version, description, specs, make)                                              \
  extern "C" const cpns_transport_entry_t cpns_transport_entry = {                                           \
      sizeof(cpns_transport_entry_t),                                                                        \
      CPNS_ABI_MAJOR,                                                                                        \
      CPNS_ABI_MINOR,                                                                                        \
      0,                                                                                                     \
      name,                                                                                                  \
      version,                                                                                               \
      description,                                                                                           \
      &::cpns::sdk::open<make, specs>,                                                                       \
      (specs).data(),                                                                                        \
      static_cast<std::uint32_t>((specs).size()),                                                            \
      sizeof(cpns_parameter_spec)};
