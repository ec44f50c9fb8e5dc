/**
 * The packages that participants know: templates by version for the interpreter, and the resolution of `#package-name` references in
 * filters.
 */
import type { Package, Template } from '../daml/template.ts';
import type { Identifier } from '../daml/value.ts';
import { cantonError } from './canton-error.ts';

/** What a filter names, resolved: any version of one package, or exactly one. */
export type Reference = {
  readonly packageIds: ReadonlySet<string>;
  readonly moduleName: string;
  readonly entityName: string;
};

export type PackageDirectory = {
  add(packages: readonly Package[]): void;
  /** Makes a package known by what a recorded transaction shows of it. */
  addSeen(packageName: string, id: Identifier, kind: 'template' | 'interface'): void;
  packageIds(): readonly string[];
  nameOf(packageId: string): string | undefined;
  /** The newest version of a package, as `x.y.z`. */
  newest(packageName: string): { readonly packageId: string; readonly packageVersion: string } | undefined;
  /** @param preferred package ids; without a match the newest version is taken. */
  template(preferred: ReadonlySet<string>): (packageName: string, moduleName: string, entityName: string) => Template;
  /** @throws CantonError PACKAGE_NAMES_NOT_FOUND or TEMPLATES_OR_INTERFACES_NOT_FOUND. */
  resolve(id: Identifier, kind: 'template' | 'interface'): Reference;
};

type Version = {
  readonly packageId: string;
  packageVersion: string;
  readonly templates: Map<string, Template | undefined>;
  readonly interfaces: Set<string>;
};

export function matches(reference: Reference, id: Identifier): boolean {
  return (
    reference.packageIds.has(id.packageId) &&
    reference.moduleName === id.moduleName &&
    reference.entityName === id.entityName
  );
}

export function createPackageDirectory(): PackageDirectory {
  // Versions in the order they were added: the last is the newest.
  const byName = new Map<string, Version[]>();

  const versionOf = (packageName: string, packageId: string): Version => {
    const versions = byName.get(packageName) ?? [];
    byName.set(packageName, versions);
    const known = versions.find((version) => version.packageId === packageId);
    if (known !== undefined) return known;
    const version: Version = { packageId, packageVersion: '1.0.0', templates: new Map(), interfaces: new Set() };
    versions.push(version);
    return version;
  };

  return {
    add: (packages) => {
      for (const { packageName, packageId, packageVersion, templates, interfaces } of packages) {
        const version = versionOf(packageName, packageId);
        if (packageVersion !== undefined) version.packageVersion = packageVersion;
        for (const template of templates) {
          version.templates.set(`${template.templateId.moduleName}:${template.templateId.entityName}`, template);
        }
        for (const name of interfaces) version.interfaces.add(name);
      }
    },
    addSeen: (packageName, id, kind) => {
      const version = versionOf(packageName, id.packageId);
      const name = `${id.moduleName}:${id.entityName}`;
      if (kind === 'interface') version.interfaces.add(name);
      else if (!version.templates.has(name)) version.templates.set(name, undefined);
    },
    nameOf: (packageId) =>
      [...byName].find(([, versions]) => versions.some((version) => version.packageId === packageId))?.[0],
    newest: (packageName) => byName.get(packageName)?.at(-1),
    packageIds: () => [...byName.values()].flat().map(({ packageId }) => packageId),
    template: (preferred) => (packageName, moduleName, entityName) => {
      const versions = byName.get(packageName) ?? [];
      const chosen = versions.find(({ packageId }) => preferred.has(packageId)) ?? versions.at(-1);
      const template = chosen?.templates.get(`${moduleName}:${entityName}`);
      if (template !== undefined) return template;
      throw cantonError({
        code: 'PACKAGE_SELECTION_FAILED',
        category: 'invalidState',
        text: `No package ${packageName} with ${moduleName}:${entityName}`,
        definiteAnswer: true,
      });
    },
    resolve: (id, kind) => {
      const name = `${id.moduleName}:${id.entityName}`;
      const isByName = id.packageId.startsWith('#');
      const versions = isByName
        ? (byName.get(id.packageId.slice(1)) ?? [])
        : [...byName.values()].flat().filter(({ packageId }) => packageId === id.packageId);
      if (isByName && versions.length === 0) {
        throw cantonError({
          code: 'PACKAGE_NAMES_NOT_FOUND',
          category: 'resourceMissing',
          text: `The following package names do not match packages uploaded on this participant: [${id.packageId.slice(1)}].`,
          resources: [{ type: 'PACKAGE_NAME', name: id.packageId.slice(1) }],
        });
      }
      const found = versions.filter(({ templates, interfaces }) =>
        kind === 'template' ? templates.has(name) : interfaces.has(name),
      );
      if (found.length === 0) {
        const plural = kind === 'template' ? 'Templates' : 'Interfaces';
        throw cantonError({
          code: 'TEMPLATES_OR_INTERFACES_NOT_FOUND',
          category: 'resourceMissing',
          text: `${plural} do not exist: [${id.packageId}:${name}].`,
          resources: [{ type: kind === 'template' ? 'TEMPLATE_ID' : 'INTERFACE_ID', name: `${id.packageId}:${name}` }],
        });
      }
      return {
        packageIds: new Set(found.map(({ packageId }) => packageId)),
        moduleName: id.moduleName,
        entityName: id.entityName,
      };
    },
  };
}
