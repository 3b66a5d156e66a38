package openstack

// expected are the Deletions of every recording. Whatever else is in them
// (boots, updates, snapshots, images) reports no
// deletion. Each line is a Deletion in the words of describe.
var expected = map[string][]string{
	"bdms-in-notifications": {
		"delete vm 3649271e-9590-4700-b7f1-8fb853eacf7e bd1 project=P/admin user=U/admin by=U/admin flavor=t1 image=quiet host=node1 zone=nova address=10.77.0.156,fa:16:3e:00:00:9c,private,a49607eb-dce1-4eb5-8e1d-9f411bc1f74f request=req-c0fe3ad7-ab3d-4a37-a922-0374296cfe48 made=23:27:44.000 from=23:27:50.521 to=23:27:52.590 required=3649271e-9590-4700-b7f1-8fb853eacf7e_disk",
		"volume-delete volume f2fda04f-2ac5-46d8-b039-2ce066fe491a data2 server=3649271e-9590-4700-b7f1-8fb853eacf7e project=P/admin user=U by=U/admin flavor=f50a7d9a-142c-4a8f-89fd-a405e9afa6fa host=node1@ceph#ceph zone=nova address=10.77.0.156,fa:16:3e:00:00:9c,private,a49607eb-dce1-4eb5-8e1d-9f411bc1f74f request=req-24807c05-0dd3-4e4e-a44e-89826e1175bc made=23:27:42.000 from=23:27:52.137 to=23:27:52.286 required=volume-f2fda04f-2ac5-46d8-b039-2ce066fe491a",
	},
	"boot-first": {
		"delete vm f1d9c9cf-76df-4589-a681-62ded2285667 nic1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny request=req-26564915-331d-436a-be8d-6b814e81ed69 made=22:35:59.000 from=22:37:32.612 to=22:38:20.472",
	},
	"boot-from-volume": {
		"delete vm 1661f296-f40b-4f35-8676-070265d23d48 bfv1 project=P/admin user=U/admin by=U/admin flavor=t0 host=node1 zone=nova address=10.77.0.24,fa:16:3e:00:00:18,private,8ba2e167-327f-4599-b3c2-2e78f3912b7c request=req-90505313-de29-46db-a7bc-1ad674ffbf7d made=22:43:49.000 from=22:43:56.347 to=22:43:58.832",
		"volume-delete volume 9d2c40cf-720c-423a-993b-63a50c46ca2e  server=1661f296-f40b-4f35-8676-070265d23d48 project=P/admin user=U by=U/admin flavor=f50a7d9a-142c-4a8f-89fd-a405e9afa6fa image=tiny/tiny host=node1@ceph#ceph zone=nova address=10.77.0.24,fa:16:3e:00:00:18,private,8ba2e167-327f-4599-b3c2-2e78f3912b7c request=req-5b0a331e-80a3-4352-8514-74aa66668148 made=22:43:50.000 from=22:43:58.291 to=22:43:58.464 required=volume-9d2c40cf-720c-423a-993b-63a50c46ca2e",
	},
	"config-drive": {
		"delete vm cc2d9f99-7d26-4c4b-8d64-abf6c4b32745 cd1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova address=10.77.0.12,fa:16:3e:00:00:0c,private,5bb2736f-971b-4995-82d8-4de60e776818 request=req-8250d205-b39c-4d65-aa3d-30bab19024ac made=22:40:13.000 from=22:40:17.775 to=22:40:20.738 required=cc2d9f99-7d26-4c4b-8d64-abf6c4b32745_disk",
	},
	"data-volume": {
		"delete vm 03080fd3-043e-456a-9e09-b1834cfa30cd dv1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova address=10.77.0.26,fa:16:3e:00:00:1a,private,f3eba7cf-f255-4f09-a514-63d028266269 request=req-ac75493f-fd9f-4a35-b69a-3d5896497829 made=22:44:16.000 from=22:44:21.454 to=22:44:23.751 required=03080fd3-043e-456a-9e09-b1834cfa30cd_disk",
		"volume-delete volume 907e7e4c-8bb2-4e5f-a9bb-4710c8e60bdd data1 project=P/admin user=U by=U flavor=f50a7d9a-142c-4a8f-89fd-a405e9afa6fa host=node1@ceph#ceph zone=nova request=req-97a6efe9-c19d-4622-b31f-7c7fc8c7dbfb made=22:44:16.000 from=22:44:23.874 to=22:44:24.024 required=volume-907e7e4c-8bb2-4e5f-a9bb-4710c8e60bdd",
	},
	"delete-while-building": {
		"delete vm 88153f40-a25c-4e6a-aaa8-920064766921 bl1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova address=10.77.0.23,fa:16:3e:00:00:17,private,5191b7bc-de0d-46fc-9861-15ab616c70ae request=req-d8d9fe6c-bf8e-409f-b89f-888df43cfc66 made=22:43:14.000 from=22:43:15.959 to=22:43:19.572",
	},
	"ephemeral-swap": {
		"delete vm 6cf11a50-dc02-4151-8836-239ae2302b4e eph1 project=P/admin user=U/admin by=U/admin flavor=te image=tiny host=node1 zone=nova address=10.77.0.13,fa:16:3e:00:00:0d,private,29a3a282-6c64-4a77-996c-b88ed7637d05 request=req-48cd4605-11d4-4854-8ff0-937333ef94d8 made=22:40:23.000 from=22:40:33.369 to=22:40:37.054 required=6cf11a50-dc02-4151-8836-239ae2302b4e_disk",
	},
	"error-server-delete": {
		"delete vm 9246ccba-801a-4eba-9c59-eb753fb18f13 er1 project=P/admin user=U/admin by=U/admin flavor=huge image=tiny request=req-f17cf813-02b6-49cd-a0dd-42b9d506c3cb made=22:43:11.000 from=22:43:11.785 to=22:43:11.923",
	},
	"force-delete": {
		"delete vm 5f3fc827-734f-4531-8354-acb8e44dcc02 fd1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova address=10.77.0.16,fa:16:3e:00:00:10,private,5097a91e-06cb-4664-91d6-ef0dfc242558 request=req-a5932c3b-2c73-42d1-b216-abf9819b681b made=22:41:01.000 from=22:41:04.574 to=22:41:06.915 required=5f3fc827-734f-4531-8354-acb8e44dcc02_disk",
	},
	"image-create":              nil,
	"local-delete-compute-back": nil,
	"local-delete-compute-down": {
		"soft-delete vm ae7a7f05-d27c-4914-b83c-f24c682d0bec ld1 project=P/admin user=U/admin flavor=t1 image=quiet host=node1 zone=nova address=10.77.0.160,fa:16:3e:00:00:a0,private,3ba10d18-ca81-4542-b6c7-f9c057abac9e request=req-6a29a194-ee71-48ff-93fc-02b832cf5a65 made=23:28:54.000 from=23:29:06.892",
		"delete vm ae7a7f05-d27c-4914-b83c-f24c682d0bec ld1 project=P/admin user=U/admin by=U/admin flavor=t1 image=quiet host=node1 zone=nova address=10.77.0.160,fa:16:3e:00:00:a0,private,3ba10d18-ca81-4542-b6c7-f9c057abac9e request=req-6a29a194-ee71-48ff-93fc-02b832cf5a65 made=23:28:54.000 from=23:29:06.913 to=23:29:07.536 required=ae7a7f05-d27c-4914-b83c-f24c682d0bec_disk",
	},
	"normal-delete": {
		"delete vm 4f4d0436-ae4c-4033-a285-d2bf905cf3bc n1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova meta.cost-center=42 meta.owner=team-a tags=keep+prod address=10.77.0.11,fa:16:3e:00:00:0b,private,88413636-0eef-4eb7-b25a-265b9a5b2776 request=req-49b64910-c622-4062-9678-ac7169d876b8 made=22:40:01.000 from=22:40:06.512 to=22:40:10.296 required=4f4d0436-ae4c-4033-a285-d2bf905cf3bc_disk",
	},
	"rebuild": {
		"rebuild vm d7812c09-82b2-40f6-aad0-5cf0e5b41dec rb1 project=P/admin user=U/admin by=U/admin flavor=t1 host=node1 zone=nova address=10.77.0.22,fa:16:3e:00:00:16,private,0d6302df-b37d-4a9a-b825-5f4f0e56fceb request=req-67d1571c-a72f-43fe-95a6-cd84fbbb9a37 made=22:42:54.000 from=22:43:00.016 to=22:43:06.269",
		"delete vm d7812c09-82b2-40f6-aad0-5cf0e5b41dec rb1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova address=10.77.0.22,fa:16:3e:00:00:16,private,0d6302df-b37d-4a9a-b825-5f4f0e56fceb request=req-cfd938d8-b57a-46d0-a686-74bb32baf961 made=22:42:54.000 from=22:43:06.505 to=22:43:08.670 required=d7812c09-82b2-40f6-aad0-5cf0e5b41dec_disk",
	},
	"resize-confirm-delete": {
		"resize vm ea73b1dc-cc49-4023-b721-34d8186ba78f rs1 project=P/admin user=U/admin by=U/admin flavor=t2 image=tiny host=node1 zone=nova address=10.77.0.19,fa:16:3e:00:00:13,private,00ccde2b-2d35-4891-b1f9-3079b9ad75bd request=req-80aff205-3cd8-40c0-a2c9-67d8bde2f0db made=22:41:45.000 from=22:41:58.430 to=22:42:00.307",
		"resize vm ea73b1dc-cc49-4023-b721-34d8186ba78f rs1 project=P/admin user=U/admin by=U/admin flavor=t2 image=tiny host=node1 zone=nova address=10.77.0.19,fa:16:3e:00:00:13,private,00ccde2b-2d35-4891-b1f9-3079b9ad75bd request=req-c939f0e0-4b06-47d9-998f-d46182a310bd made=22:41:45.000 from=22:42:00.914 to=22:42:02.164",
		"delete vm ea73b1dc-cc49-4023-b721-34d8186ba78f rs1 project=P/admin user=U/admin by=U/admin flavor=t2 image=tiny host=node1 zone=nova address=10.77.0.19,fa:16:3e:00:00:13,private,00ccde2b-2d35-4891-b1f9-3079b9ad75bd request=req-a832e94b-7c2d-4746-bda4-730ecc38d050 made=22:41:45.000 from=22:42:02.342 to=22:42:04.662 required=ea73b1dc-cc49-4023-b721-34d8186ba78f_disk",
	},
	"resize-revert": {
		"resize vm c9ab9ffd-625b-4a7e-989e-39a48364378a rs3 project=P/admin user=U/admin by=U/admin flavor=t2 image=tiny host=node1 zone=nova address=10.77.0.21,fa:16:3e:00:00:15,private,80da91c6-0f96-45fb-a6db-3fe779ee5f76 request=req-abf81fd9-89d7-4a73-a69c-c3ad8a05b2d7 made=22:42:27.000 from=22:42:38.455 to=22:42:41.028",
		"resize vm c9ab9ffd-625b-4a7e-989e-39a48364378a rs3 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova address=10.77.0.21,fa:16:3e:00:00:15,private,80da91c6-0f96-45fb-a6db-3fe779ee5f76 request=req-0d1dc9a5-88f5-4eb0-806f-33431c7e5a77 made=22:42:27.000 from=22:42:45.629 to=22:42:48.130",
		"delete vm c9ab9ffd-625b-4a7e-989e-39a48364378a rs3 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova address=10.77.0.21,fa:16:3e:00:00:15,private,80da91c6-0f96-45fb-a6db-3fe779ee5f76 request=req-60d1beed-728d-4890-9579-6b338f74022c made=22:42:27.000 from=22:42:48.436 to=22:42:51.816 required=c9ab9ffd-625b-4a7e-989e-39a48364378a_disk",
	},
	"shelve-offload-delete": {
		"shelve-offload vm d00e6e81-cef0-488d-b3c6-5f991f2e9b22 sh1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova address=10.77.0.18,fa:16:3e:00:00:12,private,c13d3d53-515c-4eba-a364-fecb42876da1 request=req-26a029a2-160e-4936-abb0-51aeaa812b26 made=22:41:26.000 from=22:41:39.232 to=22:41:40.255",
		"image-delete image 4edf4d02-1444-47fc-a6bd-34d0aedecb65 sh1-shelved server=d00e6e81-cef0-488d-b3c6-5f991f2e9b22 project=P made=22:41:31.000 from=22:41:42.000 to=22:41:42.024",
		"delete vm d00e6e81-cef0-488d-b3c6-5f991f2e9b22 sh1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny address=10.77.0.18,fa:16:3e:00:00:12,private,c13d3d53-515c-4eba-a364-fecb42876da1 request=req-25b1b30d-1587-4cf7-9b83-082a749b338b made=22:41:26.000 from=22:41:42.063 to=22:41:42.271",
	},
	"soft-delete-reclaim": {
		"soft-delete vm 3512e6da-7ad9-4e56-bf57-092ca49e1393 sd1 project=P/admin user=U/admin by=U/admin flavor=t1 image=quiet host=node1 zone=nova address=10.77.0.158,fa:16:3e:00:00:9e,private,0555ba67-6384-45b1-a438-507e9d954f2b request=req-d768723b-7164-4648-a810-3d991a5ed725 made=23:28:06.000 from=23:28:08.432 to=23:28:09.947",
		"delete vm 3512e6da-7ad9-4e56-bf57-092ca49e1393 sd1 project=P user=U flavor=t1 image=quiet host=node1 zone=nova address=10.77.0.158,fa:16:3e:00:00:9e,private,0555ba67-6384-45b1-a438-507e9d954f2b request=req-88aaaae1-98cf-43da-8a8b-bfb5e72d4896 made=23:28:06.000 from=23:28:38.923 to=23:28:39.556 required=3512e6da-7ad9-4e56-bf57-092ca49e1393_disk",
	},
	"soft-delete-restore-force": {
		"soft-delete vm 12a8fd92-c66e-46e6-8a56-bbea9570311e sd2 project=P/admin user=U/admin by=U/admin flavor=t1 image=quiet host=node1 zone=nova address=10.77.0.159,fa:16:3e:00:00:9f,private,6c949c0f-6b55-4ac7-8f3f-5162042c75bc request=req-14b3732f-5a3e-4287-8a9e-2d660c565a55 made=23:28:42.000 from=23:28:44.466 to=23:28:45.977",
		"soft-delete vm 12a8fd92-c66e-46e6-8a56-bbea9570311e sd2 project=P/admin user=U/admin by=U/admin flavor=t1 image=quiet host=node1 zone=nova address=10.77.0.159,fa:16:3e:00:00:9f,private,6c949c0f-6b55-4ac7-8f3f-5162042c75bc request=req-29c29328-db6d-48bb-b30e-502ab28d369e made=23:28:42.000 from=23:28:48.433 to=23:28:49.968",
		"delete vm 12a8fd92-c66e-46e6-8a56-bbea9570311e sd2 project=P/admin user=U/admin by=U/admin flavor=t1 image=quiet host=node1 zone=nova address=10.77.0.159,fa:16:3e:00:00:9f,private,6c949c0f-6b55-4ac7-8f3f-5162042c75bc request=req-a0e0d60c-8064-4897-bb07-0ae3d33cba10 made=23:28:42.000 from=23:28:51.238 to=23:28:51.951 required=12a8fd92-c66e-46e6-8a56-bbea9570311e_disk",
	},
	"stop-then-delete": {
		"delete vm 0b54679c-447c-48a8-9b09-1db4d8a1c539 st1 project=P/admin user=U/admin by=U/admin flavor=t1 image=tiny host=node1 zone=nova address=10.77.0.17,fa:16:3e:00:00:11,private,c355f8f0-e1ef-4032-8a9f-b91bcc625c4c request=req-226acd1c-64d1-44ed-8bf0-74398290ffe7 made=22:41:09.000 from=22:41:19.899 to=22:41:23.650 required=0b54679c-447c-48a8-9b09-1db4d8a1c539_disk",
	},
	"volume-create-delete": {
		"volume-delete volume 1469e6b1-5a51-479c-8c18-f98828331200 v1 project=P/admin user=U by=U flavor=f50a7d9a-142c-4a8f-89fd-a405e9afa6fa host=node1@ceph#ceph zone=nova request=req-8e61c33a-b948-4b5f-b7fe-03adb9e03feb made=22:43:23.000 from=22:43:23.807 to=22:43:23.929 required=volume-1469e6b1-5a51-479c-8c18-f98828331200",
		"volume-delete volume 1ede9058-db88-4ea5-8977-0bf542527238 v2 project=P/admin user=U by=U flavor=f50a7d9a-142c-4a8f-89fd-a405e9afa6fa image=tiny/tiny host=node1@ceph#ceph zone=nova request=req-913fa335-bb4e-4e89-8097-fd809b189b0f made=22:43:24.000 from=22:43:25.840 to=22:43:25.979 required=volume-1ede9058-db88-4ea5-8977-0bf542527238",
	},
	"volume-snapshot-delete": {
		"volume-delete volume b4406d38-f30a-4d9e-be5f-c5ef909026af v4 project=P/admin user=U by=U flavor=f50a7d9a-142c-4a8f-89fd-a405e9afa6fa host=node1@ceph#ceph zone=nova request=req-6b0e04f4-6254-4328-82f9-7868e75051a8 made=22:43:38.000 from=22:43:41.352 to=22:43:41.465 required=volume-b4406d38-f30a-4d9e-be5f-c5ef909026af",
	},
	"volume-snapshot": {
		"volume-delete volume 7e406f04-c41c-4c76-a740-7465c84b4fcc v3 project=P/admin user=U by=U flavor=f50a7d9a-142c-4a8f-89fd-a405e9afa6fa host=node1@ceph#ceph zone=nova request=req-7b4e0113-eaa0-40d3-993f-e0838f624398 made=22:43:28.000 from=22:43:31.034 to=22:43:31.234 required=volume-7e406f04-c41c-4c76-a740-7465c84b4fcc",
		"volume-delete volume 00ac5ab0-a160-4d32-a2c8-58e289ad510f clone1 project=P/admin user=U by=U flavor=f50a7d9a-142c-4a8f-89fd-a405e9afa6fa host=node1@ceph#ceph zone=nova request=req-bfc3d767-2374-4205-a359-74d4a4f03e85 made=22:43:30.000 from=22:43:35.231 to=22:43:36.010 required=volume-00ac5ab0-a160-4d32-a2c8-58e289ad510f",
	},
}
