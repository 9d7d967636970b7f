"""chdb's configuration: memory bounds, and the roles that stand in for users.

chdb runs every connection as its user `default`, and cannot create users; but it reads users.xml, so the roles of
`users.Role` carry the grants, `default` has nothing but those roles, and a connection takes one with SET ROLE.
"""

from pathlib import Path
from xml.sax.saxutils import escape

from deploy.local.clickhouse.settings import MEBIBYTE

# Settings through which a query reads a file, reaches an address, or hides an expression from guard.py.
_LOCKED_FOR_ANALYSTS = (
    "dialect",
    "format_schema",
    "format_schema_source",
    "format_template_resultset",
    "format_template_row",
    "format_avro_schema_registry_url",
    "output_format_schema",
    "additional_result_filter",
    "additional_table_filters",
    "allow_experimental_ai_functions",
    "allow_experimental_eval_table_function",
    "filter",
    "input_format_record_errors_file_path",
    "rename_files_after_processing",
    "url_base",
    "allow_introspection_functions",
    "parallel_replicas_custom_key",
)

_CONFIG = """<clickhouse>
  <path>{path}</path>
  <tmp_path>{path}/tmp/</tmp_path>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <mark_cache_size>{cache}</mark_cache_size>
  <index_mark_cache_size>{cache}</index_mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <index_uncompressed_cache_size>0</index_uncompressed_cache_size>
  <mmap_cache_size>0</mmap_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>4</background_schedule_pool_size>
  <background_common_pool_size>2</background_common_pool_size>
  <background_fetches_pool_size>1</background_fetches_pool_size>
  <background_move_pool_size>1</background_move_pool_size>
  <merge_tree>
    <merge_max_block_size>8192</merge_max_block_size>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
  </merge_tree>
  <user_directories><users_xml><path>{users}</path></users_xml></user_directories>
</clickhouse>
"""

_USERS = """<clickhouse>
  <profiles>
    <default><readonly>0</readonly></default>
    <analyst>
      <constraints>
        <max_execution_time><min>1</min><max>{most_seconds}</max></max_execution_time>
        <max_memory_usage><min>1</min><max>{memory}</max></max_memory_usage>
        {locked}
      </constraints>
    </analyst>
  </profiles>
  <roles>
    <analyst><grants>
      <query>GRANT SELECT, SHOW, dictGet, CREATE TEMPORARY TABLE ON *.*</query>
    </grants></analyst>
    <sink><grants>
      <query>GRANT SELECT, SHOW, INSERT, ALTER, CREATE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE ON *.*</query>
      <query>GRANT CHECK, dictGet, KILL QUERY, SYSTEM ON *.*</query>
      <query>GRANT CREATE TEMPORARY TABLE, CREATE ARBITRARY TEMPORARY TABLE ON *.*</query>
      <query>GRANT TABLE ENGINE ON *</query>
    </grants></sink>
    <operator><grants><query>GRANT ALL ON *.*</query></grants></operator>
  </roles>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants><query>GRANT analyst, sink, operator</query></grants>
    </default>
  </users>
  <quotas><default/></quotas>
</clickhouse>
"""


def write_configuration(folder: Path, path: Path, memory_bytes: int, analyst_seconds: int) -> Path:
    """Write config.xml and users.xml into the folder; returns the first, which names the second."""
    folder.mkdir(parents=True, exist_ok=True)
    config, users = folder / "config.xml", folder / "users.xml"
    locked = "".join(f"<{name}><readonly/></{name}>" for name in _LOCKED_FOR_ANALYSTS)
    users.write_text(_USERS.format(most_seconds=10 * analyst_seconds, memory=memory_bytes // 2, locked=locked), "utf-8")
    config.write_text(
        _CONFIG.format(path=escape(str(path)), users=escape(str(users)), memory=memory_bytes, cache=32 * MEBIBYTE),
        "utf-8",
    )
    return config


def analyst_settings(memory_bytes: int, analyst_seconds: int) -> dict[str, str]:
    """What holds for an analyst's query that says nothing else; a profile's own values do not reach chdb's queries."""
    return {
        "max_execution_time": str(analyst_seconds),
        "max_memory_usage": str(memory_bytes // 2),
        "max_bytes_before_external_group_by": str(memory_bytes // 4),
        "max_bytes_before_external_sort": str(memory_bytes // 4),
        "allow_introspection_functions": "0",
    }
