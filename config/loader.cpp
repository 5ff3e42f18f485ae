#include "config/loader.hpp"

#include "config/memory_budget.hpp"
#include "config/reading.hpp"

namespace cpns::config {
namespace {

constexpr std::string_view role_key = "role";

/// The role that the tree names; adds a diagnostic if it names none.
std::optional<role_kind> role_of(reading& r, const yaml_node& root) {
  if (!take_map(r, "", root, rules{})) return std::nullopt;
  for (std::size_t i = 0; i < root.keys.size(); ++i) {
    if (root.keys[i].key != role_key) continue;
    role_kind role{};
    if (take(r, std::string{role_key}, root.items[i], rules{}, role)) return role;
    return std::nullopt;
  }
  std::string text = "'role' is missing: begin the file with 'role: server', 'role: gateway' or 'role: pne'";
  std::vector<std::string_view> wanted{role_key};
  for (const auto& k : root.keys)
    if (nearest(k.key, wanted)) text += " (is " + shown(k.key) + " a typo?)";
  r.found.add(root.at, errc::config_missing, std::move(text));
  return std::nullopt;
}

std::optional<mark> place_of_role(const yaml_node& root) {
  for (std::size_t i = 0; i < root.keys.size(); ++i)
    if (root.keys[i].key == role_key) return root.items[i].at;
  return std::nullopt;
}

void remember_places(const reading& r, std::vector<transport_config>& transports) {
  for (std::size_t i = 0; i < transports.size(); ++i) {
    const auto key = "transports[" + std::to_string(i) + "]";
    auto& o = transports[i].origin;
    o = {r.found.file, r.place_of(key), r.place_of(key + ".plugin"), {}};
    for (const auto& [name, value] : transports[i].params)
      o.params[name] = r.place_of(key + ".params." + name);
  }
}

limits_in_file limits_of(const reading& r) {
  constexpr std::string_view section = "limits.";
  limits_in_file out{{r.found.file, r.place_of("limits.memory")}, {}};
  for (const auto& [key, at] : r.places)
    if (key.starts_with(section)) out.keys.insert(key);
  return out;
}

/// trial/server.sock for trial/server.yaml.
path default_socket(const path& file) {
  std::error_code ec;
  const auto absolute = std::filesystem::absolute(file, ec);
  return (ec ? file : absolute).lexically_normal().replace_extension(".sock");
}

/// Beside the store: a folder that the role can write, and that is not that of a store.
template <class T>
path default_audit_file(const T& c) {
  path beside;
  if constexpr (requires { c.store; })
    beside = c.store.path;
  else if (!c.keys_dir.empty())
    beside = c.keys_dir;
  else if (!c.devices.empty())
    beside = c.devices.front().key_file;
  if (!beside.has_filename()) beside = beside.parent_path();  // "state/server/"
  return beside.empty() ? path{} : path{beside.string() + ".audit.jsonl"};
}

template <class T>
T read_tree(reading& r, const yaml_node& root) {
  T out;
  r.places.emplace("", root.at);
  take_section(r, "", root, out, role_key);
  if constexpr (requires { out.transports; }) remember_places(r, out.transports);
  if constexpr (requires { out.links_origin; })
    if (r.places.find("limits.links") != r.places.end())
      out.links_origin = {r.found.file, r.place_of("limits.links")};
  out.limits_origin = limits_of(r);
  fit_to_memory(out);
  out.api.socket_is_default = out.api.socket && out.api.socket->empty();
  if (out.api.socket_is_default) out.api.socket = default_socket(r.found.file);
  if constexpr (requires { out.audit; })
    if (out.audit.file.empty()) out.audit.file = default_audit_file(out);
  check(out, [&](std::string_view key, errc code, std::string text) {
    const auto at = r.place_of(key);
    // A setting that could not be read already has a diagnostic.
    for (const auto& d : r.found.all)
      if (d.at == at && r.places.find(key) != r.places.end()) return;
    r.found.add(at, code, std::move(text));
  });
  return out;
}

reading begin(const path& file, const environment& env) {
  reading r;
  r.env = env;
  r.found.file = file;
  std::error_code ec;
  auto absolute = std::filesystem::absolute(file, ec);
  r.folder = (ec ? file : absolute).parent_path();
  return r;
}

tl::unexpected<diagnostics> failed(reading& r) {
  r.found.sort();
  return tl::unexpected<diagnostics>(std::move(r.found));
}

template <class T>
loaded<T> parse_as(role_kind wanted, reading r, const std::string& text) {
  const auto root = r.found.none() ? parse_yaml(text, r.found) : yaml_node{};
  if (!r.found.none()) return failed(r);
  const auto role = role_of(r, root);
  if (!role) return failed(r);
  if (*role != wanted) {
    r.found.add(place_of_role(root).value_or(root.at), errc::config_range,
                "this is the configuration of a " + std::string{word_of(*role)} + ", not of a " +
                    std::string{word_of(wanted)});
    return failed(r);
  }
  auto out = read_tree<T>(r, root);
  if (!r.found.none()) return failed(r);
  return out;
}

template <class T>
loaded<T> load_as(role_kind wanted, const path& file, const environment& env) {
  auto r = begin(file, env);
  const auto text = read_yaml_file(file, r.found);
  return parse_as<T>(wanted, std::move(r), text);
}

template <class T>
inline constexpr bool is_optional_section = false;
template <class T>
inline constexpr bool is_optional_section<std::optional<T>> = is_section<T>;

/// Collects each setting as text, to compare two configurations.
class flattener {
 public:
  struct entry {
    std::string text;
    bool reload;
  };
  explicit flattener(std::map<std::string, entry>& out, std::string prefix = {})
      : out_(out), prefix_(std::move(prefix)) {}

  template <class T>
  void operator()(std::string_view name, T& member, std::string_view, const rules& is) {
    const auto key = prefix_ + std::string{name};
    if constexpr (is_section<T>) {
      flattener inner(out_, key + ".");
      describe(inner, member);
    } else if constexpr (is_optional_section<T>) {
      flattener inner(out_, key + ".");
      auto copy = member.value_or(typename T::value_type{});
      describe(inner, copy);
    } else {
      out_[key] = {text_of(member), is.reload};
    }
  }

 private:
  static std::string text_of(const std::string& v) { return v; }
  static std::string text_of(bool v) { return v ? "true" : "false"; }
  static std::string text_of(int v) { return std::to_string(v); }
  static std::string text_of(std::uint32_t v) { return std::to_string(v); }
  static std::string text_of(milliseconds v) { return duration_text(v); }
  static std::string text_of(memory_size v) { return memory_text(v); }
  static std::string text_of(const path& v) { return v.string(); }
  static std::string text_of(const address& v) { return v.text(); }
  template <class E>
  requires std::is_enum_v<E>
  static std::string text_of(E v) { return std::string{word_of(v)}; }
  template <class T>
  static std::string text_of(const std::optional<T>& v) {
    return v ? text_of(*v) : std::string{};
  }
  template <class T>
  static std::string text_of(const std::vector<T>& v) {
    std::string out;
    for (const auto& e : v) {
      if constexpr (is_section<T>)
        out += lines_of(e);
      else
        out += text_of(e) + "\n";
    }
    return out;
  }
  template <class T, class Less>
  static std::string text_of(const std::map<std::string, T, Less>& v) {
    std::string out;
    for (const auto& [k, e] : v) {
      if constexpr (is_section<T>)
        out += k + ":\n" + lines_of(e);
      else
        out += k + "=" + text_of(e) + "\n";
    }
    return out;
  }
  /// A line for each setting of a section.
  template <class T>
  static std::string lines_of(T section) {
    std::map<std::string, entry> inner;
    flattener f(inner);
    describe(f, section);
    std::string out;
    for (const auto& [k, t] : inner) out += k + "=" + t.text + "\n";
    return out;
  }

  std::map<std::string, entry>& out_;
  std::string prefix_;
};

template <class T>
std::vector<difference> compare(T before, T after) {
  std::map<std::string, flattener::entry> a, b;
  flattener fa(a), fb(b);
  describe(fa, before);
  describe(fb, after);
  std::vector<difference> out;
  for (const auto& [key, entry] : a)
    if (b.at(key).text != entry.text) out.push_back({key, entry.reload});
  return out;
}

}  // namespace

loaded<server_config> load_server(const path& file, const environment& env) {
  return load_as<server_config>(role_kind::server, file, env);
}
loaded<gateway_config> load_gateway(const path& file, const environment& env) {
  return load_as<gateway_config>(role_kind::gateway, file, env);
}
loaded<pne_config> load_pne(const path& file, const environment& env) {
  return load_as<pne_config>(role_kind::pne, file, env);
}

loaded<server_config> parse_server(const std::string& text, const path& file, const environment& env) {
  return parse_as<server_config>(role_kind::server, begin(file, env), text);
}
loaded<gateway_config> parse_gateway(const std::string& text, const path& file, const environment& env) {
  return parse_as<gateway_config>(role_kind::gateway, begin(file, env), text);
}
loaded<pne_config> parse_pne(const std::string& text, const path& file, const environment& env) {
  return parse_as<pne_config>(role_kind::pne, begin(file, env), text);
}

loaded<check_settings> load_check_settings(const path& file, const environment& env) {
  auto r = begin(file, env);
  const auto text = read_yaml_file(file, r.found);
  if (!r.found.none()) return failed(r);
  const auto root = parse_yaml(text, r.found);
  if (!r.found.none()) return failed(r);
  r.places.emplace("", root.at);
  check_settings out;
  take_section(r, "", root, out);
  if (!r.found.none()) return failed(r);
  return out;
}

loaded<checked_file> check_file(const path& file, const environment& env) {
  auto r = begin(file, env);
  const auto text = read_yaml_file(file, r.found);
  if (!r.found.none()) return failed(r);
  const auto root = parse_yaml(text, r.found);
  if (!r.found.none()) return failed(r);
  const auto role = role_of(r, root);
  if (!role) return failed(r);
  checked_file out{file, *role, {}, {}, {}, {}};
  const auto keep = [&out](auto c) {
    if constexpr (requires { c.transports; }) {
      out.transports = c.transports;
      out.plugin_dirs = c.plugin_dirs;
    }
    out.config = std::move(c);
  };
  switch (*role) {
  case role_kind::server: keep(read_tree<server_config>(r, root)); break;
  case role_kind::gateway: keep(read_tree<gateway_config>(r, root)); break;
  case role_kind::pne: keep(read_tree<pne_config>(r, root)); break;
  }
  if (!r.found.none()) return failed(r);
  out.places = std::move(r.places);
  return out;
}

std::optional<path> ready_file_of(const path& file, const environment& env) {
  auto r = begin(file, env);
  const auto text = read_yaml_file(file, r.found);
  const auto root = r.found.none() ? parse_yaml(text, r.found) : yaml_node{};
  for (std::size_t i = 0; i < root.keys.size(); ++i) {
    path out;
    if (root.keys[i].key == "ready_file" && take(r, "ready_file", root.items[i], rules{}, out)) return out;
  }
  return std::nullopt;
}

std::vector<difference> differences(const server_config& before, const server_config& after) {
  return compare(before, after);
}
std::vector<difference> differences(const gateway_config& before, const gateway_config& after) {
  return compare(before, after);
}
std::vector<difference> differences(const pne_config& before, const pne_config& after) {
  return compare(before, after);
}

}  // namespace cpns::config
