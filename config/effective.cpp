#include "config/effective.hpp"

#include <boost/json.hpp>
#include <map>
#include <optional>
#include <type_traits>
#include <utility>

#include "config/describe.hpp"
#include "config/memory_budget.hpp"
#include "config/reading.hpp"
#include "config/values.hpp"

namespace cpns::config {
namespace {

namespace json = boost::json;

text_kind kind_of(form f) {
  switch (f) {
  case form::user: return text_kind::user;
  case form::entity:
  case form::range:
  case form::pattern: return text_kind::entity;
  case form::https:
  case form::uri:
  case form::identity:
  case form::uris: return text_kind::uri;
  case form::account:
  case form::group: return text_kind::group;
  case form::database: return text_kind::database;
  case form::any:
  case form::name:
  case form::plugin:
  case form::purpose: break;
  }
  return text_kind::plain;
}

class writer {
 public:
  writer(json::object& to, const text_filter& shown) : to_(to), shown_(shown) {}

  template <class T>
  void operator()(std::string_view key, T& member, std::string_view, const rules& is) {
    to_[key] = value_of(member, is);
  }

 private:
  json::value text(text_kind is, const std::string& v) const {
    if (v.empty()) return nullptr;
    return json::value(shown_ ? shown_(is, v) : v);
  }

  template <class T>
  json::value value_of(T& v, const rules& is) const {
    if constexpr (is_section<T>) {
      json::object out;
      writer inner(out, shown_);
      describe(inner, v);
      return out;
    } else if constexpr (std::is_enum_v<T>) {
      return json::value(word_of(v));
    } else {
      return single(v, is);
    }
  }
  json::value single(const std::string& v, const rules& is) const { return text(kind_of(is.text), v); }
  json::value single(bool v, const rules&) const { return v; }
  json::value single(int v, const rules&) const { return v; }
  json::value single(std::uint32_t v, const rules&) const { return v; }
  json::value single(milliseconds v, const rules&) const { return json::value(duration_text(v)); }
  json::value single(memory_size v, const rules&) const { return json::value(memory_text(v)); }
  json::value single(const path& v, const rules& is) const {
    return text(is.text == form::database ? text_kind::database : text_kind::file, v.string());
  }
  json::value single(const address& v, const rules& is) const {
    if (v.host.empty()) return nullptr;
    return text(is.text == form::database ? text_kind::database : text_kind::address, v.text());
  }
  template <class T>
  json::value single(std::optional<T>& v, const rules& is) const {
    if (v) return value_of(*v, is);
    return is.none.empty() ? json::value{} : json::value(is.none);
  }
  template <class T>
  json::value single(std::vector<T>& v, const rules& is) const {
    json::array out;
    for (auto& e : v) out.push_back(value_of(e, is));
    return out;
  }
  template <class Less>
  json::value single(std::map<std::string, std::string, Less>& v, const rules&) const {
    json::object out;
    for (const auto& [k, e] : v) out[k] = text(text_kind::parameter, e);
    return out;
  }
  template <class T, class Less>
  json::value single(std::map<std::string, T, Less>& v, const rules& is) const {
    json::object out;
    const auto is_name = kind_of(is.text);
    for (auto& [k, e] : v) out[shown_ ? shown_(is_name, k) : k] = value_of(e, is);
    return out;
  }

  json::object& to_;
  const text_filter& shown_;
};

template <class T>
json::object written(role_kind role, T c, const text_filter& shown) {
  json::object out{{"role", word_of(role)}};
  writer w(out, shown);
  describe(w, c);
  return out;
}

/// Addresses of the reloadable members of a configuration, by key; the same type has the same keys.
class reloadable {
 public:
  using assign = std::function<void(const void* from)>;
  struct place {
    const void* at;
    assign set;
  };
  explicit reloadable(std::map<std::string, place>& out, std::string prefix = {})
      : out_(out), prefix_(std::move(prefix)) {}

  template <class T>
  void operator()(std::string_view name, T& member, std::string_view, const rules& is) {
    const auto key = prefix_ + std::string{name};
    if constexpr (is_section<T>) {
      reloadable inner(out_, key + ".");
      describe(inner, member);
    } else if (is.reload) {
      out_[key] = {&member, [&member](const void* from) { member = *static_cast<const T*>(from); }};
    }
  }

 private:
  std::map<std::string, place>& out_;
  std::string prefix_;
};

template <class T>
void apply(T& running, T fresh) {
  std::map<std::string, reloadable::place> to, from;
  reloadable into(to), source(from);
  describe(into, running);
  describe(source, fresh);
  for (const auto& [key, place] : to) place.set(from.at(key).at);
}

template <class T>
loaded<std::monostate> keep(T& fresh, const T& running) {
  // The store and the radios stay as they run, too.
  auto together = running;
  apply(together, fresh);
  together.limits_origin = fresh.limits_origin;
  fit_to_memory(together);
  if (const auto missing = missing_memory(together)) {
    const auto& origin = fresh.limits_origin.memory;
    diagnostics wrong{origin.file, {}};
    wrong.add(origin.at, errc::config_range,
              "'limits.memory' is " + memory_text(*running.limits.memory) + " until a restart, but " +
                  *missing);
    return tl::unexpected<diagnostics>(std::move(wrong));
  }
  fresh.limits = together.limits;
  return std::monostate{};
}

class path_collector {
 public:
  template <class T>
  void operator()(std::string_view, T& member, std::string_view, const rules&) {
    take(member);
  }
  std::vector<path> all;

 private:
  template <class T>
  void take(T& v) {
    if constexpr (is_section<T>) describe(*this, v);
  }
  void take(path& p) {
    if (!p.empty()) all.push_back(p);
  }
  template <class T>
  void take(std::optional<T>& v) {
    if (v) take(*v);
  }
  template <class T>
  void take(std::vector<T>& v) {
    for (auto& e : v) take(e);
  }
};

template <class T>
std::vector<path> paths(T c) {
  path_collector out;
  describe(out, c);
  return std::move(out.all);
}

}  // namespace

json::object effective(const server_config& c, const text_filter& shown) {
  return written(role_kind::server, c, shown);
}
json::object effective(const gateway_config& c, const text_filter& shown) {
  return written(role_kind::gateway, c, shown);
}
json::object effective(const pne_config& c, const text_filter& shown) {
  return written(role_kind::pne, c, shown);
}
json::object effective(const checked_file& c, const text_filter& shown) {
  return std::visit([&shown](const auto& of_role) { return effective(of_role, shown); }, c.config);
}

void apply_reloadable(server_config& running, const server_config& fresh) { apply(running, fresh); }
void apply_reloadable(gateway_config& running, const gateway_config& fresh) { apply(running, fresh); }
void apply_reloadable(pne_config& running, const pne_config& fresh) { apply(running, fresh); }

loaded<std::monostate> keep_memory(server_config& fresh, const server_config& running) {
  return keep(fresh, running);
}
loaded<std::monostate> keep_memory(gateway_config& fresh, const gateway_config& running) {
  return keep(fresh, running);
}
loaded<std::monostate> keep_memory(pne_config& fresh, const pne_config& running) {
  return keep(fresh, running);
}

std::vector<path> named_paths(const server_config& c) { return paths(c); }
std::vector<path> named_paths(const gateway_config& c) { return paths(c); }
std::vector<path> named_paths(const pne_config& c) { return paths(c); }

}  // namespace cpns::config
